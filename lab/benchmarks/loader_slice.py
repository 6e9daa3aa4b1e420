"""Small real files for the tests, with the texts of their references and their licences."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from loader_corpus import RealFile
from loader_measures import words_of
from loader_references import Reference

OF_KIND = 6
MOST_BYTES = 40_000
FEWEST_WORDS = 40
MOST_OF_PACKAGE = 3
FREE = ("public domain", "PSF-2.0", "Apache-2.0", "MIT", "0BSD", "BSD-2-Clause", "BSD-3-Clause")
"""Licences under which a file may stand in this repository."""


def write(folder: Path, references: Sequence[tuple[RealFile, Reference]]) -> None:
    """Write files of each kind, their references, and ``sources.json`` with their licences."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sources = {}
    for number, (file, reference) in enumerate(_chosen(references)):
        name = f"{number:02}-{file.name}"
        shutil.copyfile(file.path, folder / name)
        sources[name] = {
            "kind": file.kind,
            "package": file.package.key,
            "licence": file.package.licence,
            "reference": asdict(replace(reference, beside=_vocabulary(reference.beside))),
        }
    text = json.dumps(sources, ensure_ascii=False, indent=1)
    (folder / "sources.json").write_text(text + "\n", "utf-8")
    print(f"{len(sources)} files in {folder}")


def _vocabulary(text: str) -> str:
    return " ".join(sorted(set(words_of(text))))


def _chosen(
    references: Sequence[tuple[RealFile, Reference]],
) -> list[tuple[RealFile, Reference]]:
    """Choose small files with a free licence, few of a package."""
    by_kind: defaultdict[str, list[tuple[RealFile, Reference]]] = defaultdict(list)
    taken: defaultdict[tuple[str, str], int] = defaultdict(int)
    for file, reference in references:
        key = file.kind, file.package.key
        fits = file.path.stat().st_size <= MOST_BYTES and file.package.licence in FREE
        fits = fits and file.path.suffix != ".py"  # linters and pytest would read it as ours
        fits = fits and FEWEST_WORDS <= len(reference.text.split()) <= MOST_BYTES // 5
        if fits and taken[key] < MOST_OF_PACKAGE and len(by_kind[file.kind]) < OF_KIND:
            taken[key] += 1
            by_kind[file.kind].append((file, reference))
    return [item for items in by_kind.values() for item in items]
