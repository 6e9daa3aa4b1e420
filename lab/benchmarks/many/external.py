"""A folder and its questions that somebody else wrote: DIR/files and DIR/questions.jsonl.

Each line of the questions is an object with ``id``, ``kind``, ``source`` (table, fields or prose),
``style``, ``question`` and ``answer``:

- lookup, latest, two_hops, compare: ``{"any_of": [form, ...], "never": [older value, ...]}``
- list: ``{"items": [[form, ...], ...], "none_of": [near miss, ...]}``
- count, aggregate: ``{"number": 12.5}``, or ``any_of`` for a name
- exists: ``{"verdict": "yes", "items": [[form, ...], ...]}``
- document: ``{"facts": [[form, ...], ...]}``

Every second line belongs to the half ``test``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from many.folders import Folder
from many.question import SPLITS, Files, Forms, Question


def external_folder(path: Path) -> Folder:
    """Return a folder that reads its files and questions."""
    return Folder(lambda: _read_files(path), lambda: _read_questions(path))


def _read_files(folder: Path) -> Files:
    """Return the contents of the files of a folder by path."""
    root = folder / "files"
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def _read_questions(folder: Path) -> list[Question]:
    """Return the questions on a folder."""
    lines = (folder / "questions.jsonl").read_text("utf-8").splitlines()
    return [
        _question(folder.name, json.loads(line), SPLITS[at % 2]) for at, line in enumerate(lines)
    ]


def _question(folder: str, item: Mapping[str, Any], split: str) -> Question:
    answer = item["answer"]
    needed = _needed(answer)
    others = tuple((name,) for name in [*answer.get("none_of", ()), *answer.get("never", ())])
    is_compared = bool(answer.get("any_of")) and item["kind"] in ("aggregate", "compare")
    return Question(
        id=f"{folder}-{item['id']}",
        folder=folder,
        kind=item["kind"],
        basis=item["source"],
        text=item["question"],
        needed=needed,
        universe=(*needed, *others) if item["kind"] == "list" or is_compared else (),
        numbers=(float(answer["number"]),) if "number" in answer else (),
        rounded=True,
        verdict=answer["verdict"] == "yes" if "verdict" in answer else None,
        stale=tuple(map(str, answer.get("never", ()))),
        style=item["style"],
        scopes=(item["kind"],),
        split=split,
    )


def _needed(answer: Mapping[str, Any]) -> tuple[Forms, ...]:
    if "any_of" in answer:
        return (tuple(map(str, answer["any_of"])),)
    listed = answer.get("items") or answer.get("facts") or ()
    return tuple(tuple(map(str, forms)) for forms in listed)
