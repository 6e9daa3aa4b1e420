"""Recordings of writers for ``power_loss.py``: undisturbed, killed and run again, and after a loss.

A recording is the operations of one or two processes, the disk before them, and what the store
must hold after each change.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from changes import NEVER_QUIET, make_changes, plan
from comparison import found_among
from corpus import EMBEDDERS
from disk import Disk, Tree, read_tree, write_tree
from recording import FileCall, record
from store_model import StoreModel

MARKS = "marks"
STORE = "shelf/store"
"""Where the store is below the recorded folder, in a folder that does not exist yet."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What recorded processes do: the changes of a seed, of these kinds, from ``start`` on.

    ``settings``: place in ``SETTINGS``. ``reader``: a reader stays open after each change, which
    keeps SQLite's log from starting again. ``killed_in``: the change in which the process is
    killed, -1: none; ``kill``: the file operation before which it is. ``again``: the first change
    may have been made already.
    """

    seed: int
    kinds: Sequence[str]
    settings: int = 0
    reader: bool = False
    start: int = 0
    killed_in: int = -1
    kill: int = 0
    again: bool = False


@dataclass(frozen=True, slots=True)
class DiskRecording:
    """What processes did to a disk. ``models``: the store after each number of changes.

    ``first``: the first operation before which a power loss is of interest.
    """

    name: str
    scenario: Scenario
    before: Disk
    operations: Sequence[FileCall]
    models: Sequence[StoreModel]
    first: int = 0


def recorded(scenario: Scenario, work: Path) -> DiskRecording:
    """Record one process that makes all changes."""
    (operations,), before = _run([scenario], {}, work)
    return DiskRecording(f"seed {scenario.seed}", scenario, before, operations, _models(scenario))


def killed(scenario: Scenario, work: Path) -> DiskRecording | None:
    """Record a process that is killed, and a second one that repeats that change and goes on.

    :return: None if the change has fewer file operations.
    """
    second = replace(scenario, start=scenario.killed_in, killed_in=-1, again=True)
    (one, two), before = _run([scenario, second], {}, work)
    if any(operation.data == mark("done", scenario.killed_in) for operation in one):
        return None
    name = f"seed {scenario.seed}, killed in change {scenario.killed_in} before {scenario.kill}"
    return DiskRecording(name, scenario, before, [*one, *two], _models(scenario), len(one))


def continued(
    recording: DiskRecording,
    tree: Tree,
    allowed: Sequence[StoreModel],
    done: int,
    name: str,
    work: Path,
) -> DiskRecording:
    """Record a process that goes on after a power loss.

    :param tree: what the loss has left. :param allowed: what the store may hold.
    :param done: number of changes that were acknowledged.
    """
    kept = {path: data for path, data in tree.items() if path != MARKS}
    copied = work / "copy"
    write_tree(kept, copied)
    place, found = found_among(copied / STORE, allowed, random.Random(0))
    shutil.rmtree(copied)
    start = done + place
    scenario = replace(recording.scenario, start=start)
    (operations,), before = _run([scenario], kept, work)
    models = [*recording.models[:start], found]
    return DiskRecording(name, scenario, before, operations, _models(scenario, models))


def mark(word: str, number: int) -> bytes:
    """Return the mark of a change: "begun" or "done"."""
    return f"{word} {number}\n".encode()


def _models(scenario: Scenario, known: Sequence[StoreModel] = ()) -> list[StoreModel]:
    """Return the store after each number of changes; the first ones may be known."""
    models = list(known) or [StoreModel(embedder=EMBEDDERS["hashing"])]
    changes = make_changes(scenario.seed, scenario.kinds)
    for number, (change, _, _) in enumerate(changes):
        if number + 1 >= len(models):
            model, _ = plan(change, models[-1])
            if number == scenario.killed_in:  # the next process does not tidy what is published
                _, model = models[-1].interrupted(model)
                if change.kind in NEVER_QUIET:  # made twice, it publishes twice
                    model = replace(model, slack=model.slack + 1)
            models.append(model)
    return models


def _run(
    scenarios: Sequence[Scenario], tree: Tree, work: Path
) -> tuple[list[list[FileCall]], Disk]:
    """Record processes that start with these files; return also the disk before them.

    :raises RuntimeError: the recording does not lead to the files that are there.
    """
    folder = work / "disk"
    write_tree(tree, folder)
    before = Disk.of(folder)
    script = str(Path(__file__).with_name("recorded_writer.py"))
    commands = [[script, str(folder), json.dumps(asdict(scenario))] for scenario in scenarios]
    operations = [record(command, folder, work) for command in commands]
    disk = copy.deepcopy(before)
    for operation in (one for part in operations for one in part):
        disk.apply(operation)
    if disk.left("kept", random.Random(0)) != read_tree(folder):
        raise RuntimeError("a change of the files was not recorded")
    shutil.rmtree(folder)
    return operations, before
