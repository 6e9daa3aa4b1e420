"""Power loss: no acknowledged change is lost, and none is half there, whatever a disk forgets.

    make lab-campaign-power-loss ARGS="--json FILE"

A process builds, changes, migrates, compacts, backs up and restores a store while every write,
flush and change of a name is recorded. The store is then put together as a disk may hold it after
a power loss before any of these calls (see ``disk.py``), opened, and compared with a model by exact
content: it must hold the last acknowledged generation or the one in flight, whole. So must its
backup, and the store that was restored from that to another folder. The next write must work, and
verify must find nothing.

Besides undisturbed processes there are some that are killed before a file operation, with a second
one that repeats the change, and some that go on after a power loss.
"""

from __future__ import annotations

import copy
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import results_file
from changes import SETTINGS, Change, apply, embedder_of, plan
from comparison import compare_any, compare_copies
from corpus import make_document
from disk import LOSSES, Tree, write_tree
from recording import DiskCall
from scenarios import MARKS, STORE, DiskRecording, Scenario, continued, killed, recorded
from store_model import StoreModel
from tqdm import tqdm

from expertrag_index.upkeep.verify import verify

KINDS = (
    *("build", "add", "copy", "delete", "restore", "compact", "add", "migrate", "build"),
    *("copy", "delete", "add", "migrate", "restore", "add"),
)
KILLED_KINDS = ("build", "add", "delete", "copy", "migrate", "restore", "compact")
_FILES = (
    "changes comparison corpus corruption disk killed_writer model_check oracle"
    " power_loss recorded_writer recording scenarios store_model"
)
CODE = (
    "index/expertrag_index",
    "tests/store_helper.py",
    "lab/campaigns/recorder.c",
    *(f"lab/campaigns/{name}.py" for name in _FILES.split()),
)
"""What the figures of the campaigns about the store depend on."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A possible power loss: before the call with this number, with this loss."""

    call: int
    loss: str


@dataclass(frozen=True, slots=True)
class CrashState:
    """What a power loss leaves, and the changes that had begun and were acknowledged."""

    moment: Moment
    tree: Tree
    begun: int
    done: int

    def allowed(self, models: Sequence[StoreModel]) -> list[StoreModel]:
        """Return what the store may hold."""
        last = models[self.done]
        return [*last.interrupted(models[self.begun])] if self.begun > self.done else [last]


@dataclass(frozen=True, slots=True)
class LossFinding:
    """A state in which a promise is broken."""

    recording: str
    call: int
    loss: str
    next_call: str
    problem: str


@dataclass(slots=True)
class Tally:
    """What was recorded and replayed so far."""

    recordings: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    findings: list[LossFinding] = field(default_factory=list)

    def replay(self, kind: str, recording: DiskRecording, states: int, work: Path) -> None:
        """Check the store in so many states of a recording."""
        self.recordings[kind] += 1
        self.calls.update(operation.call.name.lower() for operation in recording.operations)
        moments = chosen(recording, states)
        self.losses.update(moment.loss for moment in moments)
        for finding in replayed(recording, moments, work):
            self.findings.append(finding)
            print(f"broken promise: {finding}", file=sys.stderr)


def main() -> int:
    """Run the campaign; return 1 if a promise is broken."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=8, help="undisturbed recordings")
    parser.add_argument("--states", type=int, default=2000, help="states of these, together")
    parser.add_argument("--kill-every", type=int, default=1, help="kill before each n-th; 0: none")
    parser.add_argument("--kill-in", choices=KILLED_KINDS, help="only in this change")
    parser.add_argument("--again", type=int, default=16, help="recordings after a power loss")
    given = parser.parse_args()
    began = time.monotonic()
    tally = Tally()
    with tempfile.TemporaryDirectory(dir=memory()) as name:
        work = Path(name)
        each = given.states // given.seeds
        for seed in tqdm(range(given.seeds), desc="undisturbed"):
            scenario = Scenario(seed, KINDS, seed // 2 % len(SETTINGS), bool(seed % 2))
            recording = recorded(scenario, work)
            tally.replay("undisturbed", recording, each, work)
            for again in range(seed, given.again, given.seeds):
                go_on(tally, recording, again, work)
        if given.kill_every:
            changes = [given.kill_in] if given.kill_in else KILLED_KINDS
            kill_and_repeat(tally, given.kill_every, changes, work)
    body = {
        "recordings": dict(tally.recordings),
        "calls": dict(sorted(tally.calls.items())),
        "recorded": tally.calls.total(),
        "states": tally.losses.total(),
        "losses": dict(sorted(tally.losses.items())),
        "broken": len(tally.findings),
        "findings": [asdict(finding) for finding in tally.findings],
        "seconds": round(time.monotonic() - began, 1),
    }
    results_file.write(given.json, body, CODE)
    print(f"{body['states']:,} states, {len(tally.findings)} broken promises", file=sys.stderr)
    return bool(tally.findings)


def go_on(
    tally: Tally, recording: DiskRecording, number: int, work: Path, states: int = 40
) -> None:
    """Record a process that goes on after a power loss, and replay ``states`` of what it did."""
    rng = random.Random(f"again {number}")
    loss = rng.choice(("torn", "reordered", "dropped"))
    moment = Moment(rng.randrange(len(recording.operations)), loss)
    (state,) = states_at(recording, [moment])
    allowed = state.allowed(recording.models)
    name = f"{recording.name}, after {loss} before {moment.call}"
    after = continued(recording, state.tree, allowed, state.done, name, work)
    if after.operations:
        tally.replay("after a loss", after, states, work)


def kill_and_repeat(tally: Tally, every: int, changes: Sequence[str], work: Path) -> None:
    """Kill a writer before its file operations, each ``every``-th, and repeat the change."""
    progress = tqdm(desc="killed")
    for change in map(KILLED_KINDS.index, changes):
        operation = every
        kinds = KILLED_KINDS[: change + 1]
        while True:
            scenario = Scenario(change, kinds, killed_in=change, kill=operation)
            recording = killed(scenario, work)
            if recording is None:
                break
            tally.replay("killed", recording, 12, work)
            operation += every
            progress.update()
    progress.close()


def chosen(recording: DiskRecording, count: int) -> list[Moment]:
    """Choose moments over a recording and at its end, and all losses equally often.

    Half of them are before any call, half before one that is no write: most calls write a page.
    """
    rng = random.Random(recording.name)
    first, last = recording.first, len(recording.operations)
    calls = range(first, last + 1)
    rare = [n for n in calls[:-1] if recording.operations[n].call is not DiskCall.WRITE] or calls
    drawn = [last] * len(LOSSES)
    for number in range(count):
        drawn.append(rng.choice(calls if number // len(LOSSES) % 2 else rare))
    return sorted(
        (Moment(call, LOSSES[number % len(LOSSES)]) for number, call in enumerate(drawn[:count])),
        key=lambda moment: moment.call,
    )


def replayed(
    recording: DiskRecording, moments: Sequence[Moment], work: Path
) -> Iterator[LossFinding]:
    """Check the store in each state; yield those in which a promise is broken."""
    operations = recording.operations
    for number, state in enumerate(states_at(recording, moments)):
        folder = work / "state"
        write_tree(state.tree, folder)
        allowed = state.allowed(recording.models)
        problem = problem_of(folder / STORE, allowed, random.Random(number))
        shutil.rmtree(folder)
        if problem:
            moment = state.moment
            after = str(operations[moment.call]) if moment.call < len(operations) else "the end"
            yield LossFinding(recording.name, moment.call, moment.loss, after, problem)


def states_at(recording: DiskRecording, moments: Sequence[Moment]) -> Iterator[CrashState]:
    """Yield what is left at each moment, in order of the calls."""
    disk = copy.deepcopy(recording.before)
    begun = done = recording.scenario.start
    call = 0
    for number, moment in enumerate(moments):
        while call < moment.call:
            operation = recording.operations[call]
            if operation.path == MARKS and operation.call is DiskCall.WRITE:
                word, change = operation.data.split()
                begun = int(change) + 1
                done = begun if word == b"done" else done
            disk.apply(operation)
            call += 1
        rng = random.Random(f"{moment.call}-{moment.loss}-{number}")
        yield CrashState(moment, disk.left(moment.loss, rng), begun, done)


def problem_of(path: Path, allowed: Sequence[StoreModel], rng: random.Random) -> str:
    """Return which promise a store breaks that must be in one of several states; empty: none."""
    try:
        model = compare_any(path, allowed, rng)
        compare_copies(path, allowed, rng)
        change = Change("add", (make_document(rng, 99),))
        after, _ = plan(change, model)
        apply(change, path, embedder_of(model), SETTINGS[0])
        compare_any(path, [after], rng)
        problems = verify(path).problems
    except Exception as error:  # of any kind: none may reach a caller here
        return without_path(f"{type(error).__name__}: {error}", path)
    return "; ".join(problems)


def without_path(message: str, path: Path) -> str:
    """Return a message without the place of a store and of its folder."""
    return message.replace(str(path), "STORE").replace(str(path.parent), "SHELF")


def memory() -> str | None:
    """Return a folder in memory, if there is one: what is replayed needs no disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


if __name__ == "__main__":
    sys.exit(main())
