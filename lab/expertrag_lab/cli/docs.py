"""Generate the page of the lab's commands.

python -m expertrag_lab.cli.docs           write
python -m expertrag_lab.cli.docs --check   fail if the page is out of date
"""

from __future__ import annotations

from pathlib import Path

import click

from expertrag.cli.docs import ORIGIN, help_sections, write_pages

DOCS = Path(__file__).parents[2] / "docs" / "reference"
_INTRODUCTION = (
    "The lab adds these commands to `expertrag`. Output, variables, exit codes and errors are "
    "described with [the service's commands](../../../docs/reference/cli.md)."
)


def page() -> str:
    """Return the page, as Markdown."""
    parts = [ORIGIN, "# Command line of the lab", _INTRODUCTION, *help_sections("expertrag_lab")]
    return "\n\n".join(parts) + "\n"


@click.command()
@click.option("--check", is_flag=True, help="Fail if the page is out of date; write nothing.")
def main(check: bool) -> None:
    """Write the generated page of the documentation."""
    write_pages(DOCS, {"cli.md": page()}, check=check)


if __name__ == "__main__":
    main()
