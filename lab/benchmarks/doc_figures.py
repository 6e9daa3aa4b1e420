"""Write benchmark results into the documentation and the package.

    python lab/benchmarks/doc_figures.py            write
    python lab/benchmarks/doc_figures.py --check    fail if a file is not current

No figure of lab/results is typed anywhere else. The pages of docs have tables
between markers (``TABLES``) and figures inside sentences (``inline_figures.py``), README.md a table
with the most telling figures, lab/results/README.md a row for each measurement, and
expertrag/models/answers.json, which `expertrag models list` shows, the shares of right answers. A
table whose code has changed since it was measured says so.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cost_tables
import doc_tables
import document_tables
import engine_tables
import routing_tables
import scale_tables
import scaling_costs
import security_tables
import speed_tables
import split_tables
import surgery_tables
import training_tables
from inline_figures import filled, wrong
from readme_figures import SOURCES, readme_table
from results_file import RESULTS, ROOT, changed, figures_of, read, stamps
from results_table import results_readme, stale_line

README = ROOT / "README.md"
CARRIED = ROOT / "expertrag" / "models" / "answers.json"


@dataclass(frozen=True, slots=True)
class Table:
    """A generated table: its page, its name there, and its results file.

    ``page``: a name in lab/docs/measurements, or a path below docs. ``parts``: those of the file
    that it shows; none: all.
    """

    page: str
    name: str
    source: str
    make: Callable[[Any], Iterable[str]]
    parts: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file of the page."""
        folder = ROOT / "docs" if "/" in self.page else ROOT / "lab" / "docs" / "measurements"
        return folder / f"{self.page}.md"

    def lines(self) -> list[str]:
        """Return the table, and whether it is stale."""
        measured = stamps(read(RESULTS / f"{self.source}.json"))
        shown = [made for part, made in measured.items() if part in (self.parts or measured)]
        return [*self.make(figures_of(self.source)), *stale_line(shown)]


SPEED = ("single", "concurrent")
READER = ("gold", "found", "verdicts", "citations", "abstention", "general")
TABLES = (
    Table("answers", "answers", "answers", doc_tables.answers),
    Table("answers", "mixed", "mixed", doc_tables.mixed),
    Table("answers", "office", "office", doc_tables.figures),
    Table("cost", "systems", "cost", cost_tables.systems),
    Table("conversations", "conversations", "conversations", doc_tables.conversations),
    Table("conversations", "follow-ups", "follow_ups", doc_tables.follow_ups),
    Table("documents", "loaders", "loaders", document_tables.loaders),
    Table("embedding-experts", "experts", "experts", training_tables.experts),
    Table("gate", "training-free gate", "gate", doc_tables.training_free),
    Table("generation", "speed", "generation", speed_tables.generation, SPEED),
    Table("generation", "adapters", "generation", speed_tables.adapters, ("adapters",)),
    Table("generation", "gguf", "gguf_loss", engine_tables.gguf_loss),
    Table("generation", "server", "server_start", speed_tables.server),
    Table("generation", "residency", "residency", speed_tables.residency),
    Table("grounding", "support", "grounding", doc_tables.grounding),
    Table("kernels", "kernels, olmoe", "kernels", speed_tables.layers("olmoe")),
    Table("kernels", "mxfp4", "mxfp4", engine_tables.mxfp4),
    Table("prompt-injection", "attacks", "campaign_prompt_injection", security_tables.attacks),
    Table("reader", "reader", "reader", training_tables.reader, READER),
    Table("service", "service", "service", speed_tables.service),
    Table("guide/store", "store", "store", speed_tables.store),
    Table("guide/replicas", "replicas", "replicas", speed_tables.replicas),
    Table("routing", "patterns", "patterns", routing_tables.patterns),
    Table("scale", "ours", "scale", scale_tables.ours),
    Table("scale", "engines", "scale", scale_tables.engines),
    Table("guide/scaling", "costs", "scale", scaling_costs.table),
    Table("search", "chunks", "search", training_tables.chunks),
    Table("surgery", "smaller", "surgery", surgery_tables.smaller),
    Table("surgery", "split", "split", split_tables.kept),
)


def main() -> int:
    """Write or check the files; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    failed = False
    for path, text in written().items():
        name = path.relative_to(ROOT)
        known = path.read_text(encoding="utf-8")
        if known != text and not check:
            path.write_text(text, encoding="utf-8")
            print(f"{name} written")
        for line, message in wrong(known if check else text):
            failed = True
            print(f"{name}:{line}: {message}")
        if known != text and check:
            failed = True
            print(f"{name} is not current: run make docs")
    return int(failed)


def written() -> dict[Path, str]:
    """Return the content of every file that has figures."""
    answers = figures_of("answers")
    small, large = doc_tables.models_of(answers)
    found = {
        CARRIED: json.dumps(carried(answers, small, large), indent=1) + "\n",
        RESULTS / "README.md": results_readme(),
    }
    pages = [README, *sorted((ROOT / "docs").rglob("*.md"))]
    pages += sorted((ROOT / "lab" / "docs").rglob("*.md"))
    texts = {path: path.read_text(encoding="utf-8") for path in pages}
    for table in TABLES:
        texts[table.path] = with_table(texts[table.path], table.name, table.lines())
    texts[README] = with_table(texts[README], "figures", (*readme_table(large), *stale_sources()))
    return {**found, **{path: filled(text) for path, text in texts.items()}}


def with_table(page: str, name: str, lines: Iterable[str]) -> str:
    """Put lines between the markers of one name in a page."""
    first, last = f"<!-- made by `make docs`: {name} -->", f"<!-- end of {name} -->"
    before, rest = page.split(first)
    return f"{before}{chr(10).join((first, *lines, last))}{rest.split(last)[1]}"


def stale_sources() -> Iterator[str]:
    """Yield the line under README's table: whose code has changed since it was measured."""
    bodies = {name: read(RESULTS / f"{name}.json") for name in SOURCES}
    stale = [name for name, body in bodies.items() if any(map(changed, stamps(body).values()))]
    if stale:
        yield ""
        yield (
            f"Code has changed since these were measured: {', '.join(stale)} "
            "([when, and what](lab/results/README.md))."
        )


def carried(results: Mapping[str, Any], small: str, large: str) -> dict[str, dict[str, float]]:
    """Return the shares of right answers of both models, which the package carries."""
    found: dict[str, dict[str, float]] = {small: {}, large: {}}
    for item in results["figures"]["found"]:
        name, _, what = item["name"].partition(", ")
        if what in ("contains", "verdict"):
            for model, side in ((small, "before"), (large, "after")):
                found[model][name] = round(item[side]["mean"], 2)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
