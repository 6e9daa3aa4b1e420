"""Writes what `make eval-answers` found into the documentation and the package.

    python benchmarks/answer_figures.py            write
    python benchmarks/answer_figures.py --check    fail if a file is not current

docs/evaluation.md has all figures of benchmarks/results/answers.json, README.md those that are
asked for, and `expertrag models list` the shares of right answers, from
expertrag/models/answers.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from known_models import ROOT

RESULTS = ROOT / "benchmarks" / "results" / "answers.json"
PAGES = {ROOT / "docs" / "evaluation.md": False, ROOT / "README.md": True}
"""Pages with the table, and whether it has only the figures that are asked for."""
CARRIED = ROOT / "expertrag" / "models" / "answers.json"
FIRST, LAST = "<!-- made by `make docs`: answers -->", "<!-- end of answers -->"


def main() -> int:
    """Write or check the files; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = 0
    for path, text in written(json.loads(RESULTS.read_text(encoding="utf-8"))).items():
        if path.read_text(encoding="utf-8") != text:
            stale += 1
            told = "is not current: run make docs" if check else "written"
            print(f"{path.relative_to(ROOT)} {told}")
            if not check:
                path.write_text(text, encoding="utf-8")
    return int(check and stale > 0)


def written(results: Mapping[str, Any]) -> dict[Path, str]:
    """Return what the files are to hold."""
    found = {CARRIED: json.dumps(_carried(results), indent=1) + "\n"}
    for page, asked in PAGES.items():
        before, rest = page.read_text(encoding="utf-8").split(FIRST)
        table = "\n".join((FIRST, *_table(results, asked=asked), LAST))
        found[page] = f"{before}{table}{rest.split(LAST)[1]}"
    return found


def _table(results: Mapping[str, Any], *, asked: bool) -> Iterator[str]:
    small, large = _models(results)
    yield f"| figure | n | `{small}` | `{large}` [95 %] | asked |"
    yield "|---|---|---|---|---|"
    for part, figures in results["figures"].items():
        for item in figures:
            after, before = item["after"], item["before"]
            if after is None or (asked and not item["bar"]):
                continue
            bar = (
                f"{item['bar']}, {'reached' if item['reached'] else 'missed'}"
                if item["bar"]
                else ""
            )
            first = "" if before is None else f"{before['mean']:.3f}"
            last = f"{after['mean']:.3f} [{after['low']:.3f}, {after['high']:.3f}]"
            yield f"| {part}: {item['name']} | {after['n']} | {first} | {last} | {bar} |"


def _carried(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    small, large = _models(results)
    found: dict[str, dict[str, float]] = {small: {}, large: {}}
    for item in results["figures"]["found"]:
        name, _, what = item["name"].partition(", ")
        if what in ("contains", "verdict"):
            for model, side in ((small, "before"), (large, "after")):
                found[model][name] = round(item[side]["mean"], 2)
    return found


def _models(results: Mapping[str, Any]) -> tuple[str, str]:
    first, *_, last = results["manifest"]["inputs"]["models"]
    small, large = (next(iter(item.values()))["generator"]["name"] for item in (first, last))
    return str(small), str(large)


if __name__ == "__main__":
    raise SystemExit(main())
