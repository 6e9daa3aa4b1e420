"""All folders and their questions, and the half of the questions that is kept for tests."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from many import (
    brightwater,
    brightwater_asked,
    brightwater_files,
    lindenhof,
    lindenhof_asked,
    lindenhof_files,
    quillmarlow,
    quillmarlow_asked,
    quillmarlow_files,
    tallis,
    tallis_asked,
    tallis_files,
)
from many.question import PROSE, SPLITS, Files, Question

SEED = 56


@dataclass(frozen=True, slots=True)
class Folder:
    """Writes the files of a folder, and asks about them."""

    write: Callable[[], Files]
    questions: Callable[[], list[Question]]


FOLDERS: Mapping[str, Folder] = {
    brightwater.NAME: Folder(brightwater_files.write, brightwater_asked.questions),
    lindenhof.NAME: Folder(lindenhof_files.write, lindenhof_asked.questions),
    tallis.NAME: Folder(tallis_files.write, tallis_asked.questions),
    quillmarlow.NAME: Folder(quillmarlow_files.write, quillmarlow_asked.questions),
}


def questions() -> list[Question]:
    """Return the questions on all folders; each has its half.

    The halves have as many questions of each kind, over prose and over fields.
    """
    every = [item for folder in FOLDERS.values() for item in folder.questions()]
    groups: dict[tuple[str, bool], list[str]] = {}
    for item in every:
        groups.setdefault((item.kind, item.basis == PROSE), []).append(item.id)
    splits: dict[str, str] = {}
    for group, ids in groups.items():
        chance = random.Random(f"{SEED} {group}")
        chance.shuffle(ids)
        first = chance.randrange(2)
        splits |= {id: SPLITS[(first + place) % 2] for place, id in enumerate(ids)}
    return [replace(item, split=splits[item.id]) for item in every]
