"""Power loss: no acknowledged change is lost, and none is half there, whatever a disk forgets.

    make campaign-power-loss ARGS="--json FILE"

A process builds, changes and migrates a store while every write, flush and change of a name is
recorded. The store is then put together as a disk may hold it after a power loss at any of these
calls (see ``disk.py``), opened, and compared with a model by exact content: it must hold the last
acknowledged generation or the one in flight, whole. The next write must work, and verify must find
nothing.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import results_file
from changes import SETTINGS, Change, apply, embedder_of, make_changes, plan
from comparison import BrokenPromiseError, compare_any
from corpus import EMBEDDERS, make_document
from disk import LOSSES, Disk, Tree, read_tree, write_tree
from recorded_writer import BEGUN, DONE, MARKS, STORE
from recording import Call, Operation, record
from store_model import StoreModel
from tqdm import tqdm

from expertrag_index.errors import IndexStoreError
from expertrag_index.verify import verify

KINDS = ("build", "add", "delete", "add", "migrate", "build", "delete", "add", "migrate", "add")
CODE = ("index/expertrag_index", "campaigns")


@dataclass(frozen=True, slots=True)
class Moment:
    """A possible power loss: before the call with this number, with this loss."""

    call: int
    loss: str


@dataclass(frozen=True, slots=True)
class LossFinding:
    """A state in which a promise is broken."""

    seed: int
    call: int
    loss: str
    next_call: str
    problem: str


def main() -> int:
    """Run the campaign; return 1 if a promise is broken."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--states", type=int, default=1200, help="crash states to replay")
    parser.add_argument("--seeds", type=int, default=4, help="recordings to take them from")
    parser.add_argument("--seed", type=int, help="only this recording")
    given = parser.parse_args()
    began = time.monotonic()
    seeds = range(given.seeds) if given.seed is None else [given.seed]
    calls: Counter[str] = Counter()
    losses: Counter[str] = Counter()
    findings: list[LossFinding] = []
    with tempfile.TemporaryDirectory(dir=memory()) as work:
        for seed in seeds:
            operations = recorded(seed, KINDS, Path(work) / f"seed{seed}")
            calls.update(operation.call.name.lower() for operation in operations)
            moments = chosen(len(operations), given.states // len(seeds), seed)
            losses.update(moment.loss for moment in moments)
            findings += replayed(seed, KINDS, operations, moments, Path(work))
    for finding in findings:
        print(f"broken promise: {finding}", file=sys.stderr)
    body = {
        "seeds": len(seeds),
        "changes": len(seeds) * len(KINDS),
        "calls": dict(sorted(calls.items())),
        "recorded": calls.total(),
        "states": losses.total(),
        "losses": dict(sorted(losses.items())),
        "broken": len(findings),
        "findings": [asdict(finding) for finding in findings],
        "seconds": round(time.monotonic() - began, 1),
    }
    results_file.write(given.json, body, CODE)
    print(f"{body['states']:,} states, {len(findings)} broken promises", file=sys.stderr)
    return bool(findings)


def recorded(seed: int, kinds: Sequence[str], work: Path) -> list[Operation]:
    """Make the changes of a seed in a process of its own; return everything that it wrote.

    :raises RuntimeError: the recording does not lead to the files that are there.
    """
    folder = work / "disk"
    folder.mkdir(parents=True)
    script = str(Path(__file__).with_name("recorded_writer.py"))
    operations = record([script, str(folder), str(seed), *kinds], folder, work)
    disk = Disk()
    for operation in operations:
        disk.apply(operation)
    if disk.left("kept", random.Random(0)) != read_tree(folder):
        raise RuntimeError("a change of the files was not recorded")
    return operations


def chosen(calls: int, count: int, seed: int) -> list[Moment]:
    """Choose moments evenly over a recording, and all losses equally often."""
    rng = random.Random(seed)
    drawn = (rng.randrange(calls + 1) for _ in range(count))
    return sorted(
        (Moment(call, LOSSES[number % len(LOSSES)]) for number, call in enumerate(drawn)),
        key=lambda moment: moment.call,
    )


def replayed(
    seed: int,
    kinds: Sequence[str],
    operations: Sequence[Operation],
    moments: Sequence[Moment],
    work: Path,
) -> list[LossFinding]:
    """Check the store in each state; return those in which a promise is broken."""
    findings = []
    states = states_at(operations, moments)
    models = models_of(seed, kinds)
    for number, (moment, tree, begun, done) in enumerate(
        tqdm(states, total=len(moments), desc=f"seed {seed}", mininterval=1.0)
    ):
        folder = work / f"state{seed}-{number}"
        write_tree(tree, folder)
        allowed = [models[done]]
        if begun > done:
            allowed = [*models[done].interrupted(models[begun])]
        problem = problem_of(folder / STORE, allowed, random.Random(number))
        if problem:
            after = str(operations[moment.call]) if moment.call < len(operations) else "the end"
            findings.append(LossFinding(seed, moment.call, moment.loss, after, problem))
        shutil.rmtree(folder)
    return findings


def models_of(seed: int, kinds: Sequence[str]) -> list[StoreModel]:
    """Return what the store must hold after each number of changes."""
    empty = StoreModel(embedder=EMBEDDERS["hashing"])
    return [empty, *(model for _, model, _ in make_changes(seed, tuple(kinds)))]


def states_at(
    operations: Sequence[Operation], moments: Sequence[Moment]
) -> Iterator[tuple[Moment, Tree, int, int]]:
    """Yield what is left at each moment, and how many changes had begun and were acknowledged."""
    disk = Disk()
    begun = done = call = 0
    for number, moment in enumerate(moments):
        while call < moment.call:
            operation = operations[call]
            if operation.path == MARKS and operation.call is Call.WRITE:
                begun += operation.data == BEGUN
                done += operation.data == DONE
            disk.apply(operation)
            call += 1
        rng = random.Random(f"{moment.call}-{moment.loss}-{number}")
        yield moment, disk.left(moment.loss, rng), begun, done


def problem_of(
    path: Path, allowed: Sequence[StoreModel], rng: random.Random
) -> str:
    """Return which promise a store breaks that must be in one of several states; empty: none."""
    try:
        model = compare_any(path, allowed, rng)
        change = Change("add", (make_document(rng, 99),))
        after, _ = plan(change, model)
        apply(change, path, embedder_of(model), SETTINGS[0])
        compare_any(path, [after], rng)
        problems = verify(path).problems
    except (BrokenPromiseError, IndexStoreError, sqlite3.Error, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "; ".join(problems)


def memory() -> str | None:
    """Return a folder in memory, if there is one: what is replayed needs no disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
