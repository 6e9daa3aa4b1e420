"""Model check: random changes, kills and readers; the store always holds what a dict holds.

    make lab-campaign-model-check ARGS="--json FILE"

After each operation the store is opened and compared with its model: documents, chunks, vectors,
counts, dense search (exact cosines), BM25 (computed from the formula), statistics of words and
filters; then the same for a reader with random access labels, for whom the model holds only the
documents that it may see. A writer that was killed must leave the generation before its change or
the one after it. Readers that stay open must go on seeing theirs. Backups are restored, over the
store and to another folder, and compared.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import results_file
from changes import MAKERS, SETTINGS, Change, apply, embedder_of, plan
from comparison import BrokenPromiseError, compare, compare_any, compare_copies
from corpus import EMBEDDERS, write_folder
from corruption import damage
from killed_writer import run_killed
from power_loss import CODE, memory, without_path
from store_model import StoreModel
from tqdm import tqdm

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import EmbedderMismatchError
from expertrag_index.loaders import load
from expertrag_index.store.index import Index
from expertrag_index.types import LoadFailure
from expertrag_index.upkeep.verify import verify

_KINDS = {"build": 4, "add": 10, "delete": 6, "migrate": 3, "compact": 2, "copy": 2, "restore": 3}
_ON_STORES = {"migrate", "compact", "copy", "restore"}
"""Kinds of changes that need a store."""
_MOMENTS = 280
"""SQL statements and file operations of a long change, about: where a kill may come."""


class ModelRun:
    """A store, its model, and what happened to them so far."""

    def __init__(self, seed: int, work: Path, readers: ExitStack) -> None:
        self.rng = random.Random(seed)
        self.path = work / "store"
        self.model = StoreModel(embedder=EMBEDDERS["hashing"])
        self.done: Counter[str] = Counter()
        self._work = work
        self._settings = SETTINGS[seed % len(SETTINGS)]
        self._stack = readers
        self._readers: list[tuple[Index, StoreModel]] = []

    def step(self) -> str:
        """Do one operation and compare; return what it was.

        :raises BrokenPromiseError: the store differs from its model.
        """
        names = list(OPERATIONS)
        weights = [OPERATIONS[name][0] for name in names]
        (name,) = self.rng.choices(names, weights)
        self.done[name] += 1
        OPERATIONS[name][1](self)
        self.model = compare_any(self.path, [self.model], self.rng)
        if name in ("change", "kill"):
            compare_copies(self.path, [self.model], self.rng)
        return name

    def change(self) -> None:
        """Make a random change."""
        self._apply(self._drawn())

    def folder(self) -> None:
        """Build or add from a folder of text files."""
        folder = self._work / f"folder{self.rng.randrange(2)}"
        texts = write_folder(self.rng, folder, self.rng.sample(range(9), 3))
        failures: list[LoadFailure] = []
        documents = tuple(load([folder], on_failure=failures.append))
        read = {document.source: document.text for document in documents}
        if failures or not texts.items() <= read.items():
            raise BrokenPromiseError(f"{folder} was not read as it is: {failures}")
        kind = self.rng.choice(("build", "add", "add"))
        kept = tuple(self.model.documents.values()) if kind == "build" else ()
        known = {document.id for document in documents}
        others = tuple(document for document in kept if document.id not in known)
        self._apply(Change(kind, documents + others))

    def kill(self) -> None:
        """Kill a writer at a random moment: its change is published whole, or not at all."""
        change = self._drawn()
        planned, _ = plan(change, self.model)
        moment = self.rng.randint(1, _MOMENTS)
        embedder = embedder_of(self.model)
        if not run_killed(change, self.path, embedder, self._settings, moment):
            self.done["kill, after the end"] += 1
            self.model = planned
            return
        self.done[f"kill, {change.kind}"] += 1
        before, after = self.model.interrupted(planned)
        self.model = compare_any(self.path, [before, after], self.rng)
        self.done["kill, published"] += self.model.generation >= planned.generation

    def read(self) -> None:
        """Open a reader that stays open over the next operations; check those that did."""
        for index, model in self._readers:
            compare(index, None, model, self.rng)
        while len(self._readers) > 2:
            self._readers.pop(0)[0].close()
        if self.model.generation:
            index = self._stack.enter_context(Index.open(self.path))
            self._readers.append((index, self.model))

    def refuse(self) -> None:
        """Open the store with another embedder: refused, and nothing changes."""
        if not self.model.generation:
            return
        others = (one for one in EMBEDDERS.values() if one is not self.model.embedder)
        try:
            IndexWriter.open(self.path, self.rng.choice(list(others))).close()
        except EmbedderMismatchError:
            return
        raise BrokenPromiseError("a writer with another embedder was not refused")

    def verify(self) -> None:
        """Verify the store: there is nothing to find."""
        if self.model.generation and (problems := verify(self.path).problems):
            raise BrokenPromiseError(f"verify: {problems[0]}")

    def repair(self) -> None:
        """Damage a file that is derived from the database, and repair the store."""
        if not self.model.generation:
            return
        self.verify()  # drops the debris of a killed writer, which needs no repair
        damage(self.path, self.rng.choice(("CURRENT", "generations", "segments")), self.rng)
        report = verify(self.path, repair=True)
        if report.problems or not report.repaired:
            raise BrokenPromiseError(f"repair: {report}")
        self.model = self.model.repaired()

    def _drawn(self) -> Change:
        (kind,) = self.rng.choices(list(_KINDS), list(_KINDS.values()))
        if kind in _ON_STORES and not self.model.generation:
            kind = "add"
        return MAKERS[kind](self.rng, self.model)

    def _apply(self, change: Change) -> None:
        planned, counts = plan(change, self.model)
        self.done[change.kind] += 1
        outcome = apply(change, self.path, embedder_of(self.model), self._settings)
        number = outcome.generation - planned.generation
        if outcome.counts != counts or not 0 <= number <= planned.slack:
            raise BrokenPromiseError(f"{change} reported {outcome}, not {counts}")
        self.model = planned


OPERATIONS: Mapping[str, tuple[int, Callable[[ModelRun], None]]] = {
    "change": (26, ModelRun.change),
    "folder": (2, ModelRun.folder),
    "kill": (12, ModelRun.kill),
    "read": (5, ModelRun.read),
    "refuse": (2, ModelRun.refuse),
    "verify": (3, ModelRun.verify),
    "repair": (2, ModelRun.repair),
}
"""Operations of a step by name, each with its weight."""


@dataclass(frozen=True, slots=True)
class ModelFinding:
    """A step after which the store differs from its model."""

    seed: int
    step: int
    problem: str


def main() -> int:
    """Run the campaign; return 1 if a promise is broken."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="stores")
    parser.add_argument("--steps", type=int, default=50, help="operations on each")
    parser.add_argument("--seed", type=int, help="only this store")
    given = parser.parse_args()
    began = time.monotonic()
    done: Counter[str] = Counter()
    findings: list[ModelFinding] = []
    seeds = range(given.seeds) if given.seed is None else [given.seed]
    for seed in tqdm(seeds, desc="stores", mininterval=1.0):
        operations, finding = checked(seed, given.steps)
        done.update(operations)
        if finding:
            findings.append(finding)
            print(f"broken promise: {finding}", file=sys.stderr)
    steps = sum(done[name] for name in OPERATIONS)
    body = {
        "seeds": len(seeds),
        "steps": steps,
        "operations": dict(sorted(done.items())),
        "broken": len(findings),
        "findings": [asdict(finding) for finding in findings],
        "seconds": round(time.monotonic() - began, 1),
    }
    results_file.write(given.json, body, CODE)
    print(f"{steps:,} operations, {len(findings)} broken promises", file=sys.stderr)
    return bool(findings)


def checked(seed: int, steps: int) -> tuple[Counter[str], ModelFinding | None]:
    """Check one store; return its operations, and the step at which it differs."""
    with tempfile.TemporaryDirectory(dir=memory()) as work, ExitStack() as readers:
        run = ModelRun(seed, Path(work), readers)
        for step in range(steps):
            try:
                run.step()
            except Exception as error:  # of any kind: none may reach a caller here
                problem = without_path(f"{type(error).__name__}: {error}", run.path)
                return run.done, ModelFinding(seed, step, problem)
    return run.done, None


if __name__ == "__main__":
    sys.exit(main())
