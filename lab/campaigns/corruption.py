"""Corruption: a damaged file is noticed before anything wrong is read from it.

    make lab-campaign-corruption ARGS="--json FILE"

A bit of a store is flipped, or a file is cut. Opening and reading it must fail with a typed error,
or say that it is damaged and answer from an intact generation, or give exactly what the model
holds, scores of BM25 and statistics of words included.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import results_file
from changes import SETTINGS, apply, embedder_of, make_changes
from comparison import compare
from power_loss import CODE, memory, without_path
from store_model import StoreModel
from tqdm import tqdm

from expertrag_index.errors import IndexStoreError
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout

KINDS = ("build", "add", "delete", "add")
KINDS_OF_FILES = ("CURRENT", "generations", "segments", "store.db")
UNSEEN = "unnoticed"
_QUERIES = 12


@dataclass(frozen=True, slots=True)
class CorruptionFinding:
    """Damage that was read without an error."""

    seed: int
    file: str
    damage: str
    problem: str


def main() -> int:
    """Run the campaign; return 1 if a promise is broken."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--states", type=int, default=2000, help="damaged stores")
    parser.add_argument("--seeds", type=int, default=4, help="stores to damage")
    given = parser.parse_args()
    began = time.monotonic()
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS_OF_FILES}
    findings: list[CorruptionFinding] = []
    with tempfile.TemporaryDirectory(dir=memory()) as work:
        for seed in range(given.seeds):
            whole = Path(work) / f"seed{seed}"
            models = built(seed, whole)
            each = range(given.states // given.seeds)
            for number in tqdm(each, desc=f"seed {seed}", mininterval=1.0):
                path = Path(shutil.copytree(whole, Path(work) / "store"))
                kind = KINDS_OF_FILES[number % len(KINDS_OF_FILES)]
                rng = random.Random(f"{seed}-{number}")
                file, done = damage(path, kind, rng)
                outcome, problem = outcome_of(path, models, rng)
                outcomes[kind][outcome] += 1
                if problem:
                    findings.append(CorruptionFinding(seed, file, done, problem))
                    print(f"broken promise: {findings[-1]}", file=sys.stderr)
                shutil.rmtree(path)
    body = {
        "seeds": given.seeds,
        "states": sum(counter.total() for counter in outcomes.values()),
        "outcomes": {kind: dict(sorted(found.items())) for kind, found in outcomes.items()},
        "broken": len(findings),
        "findings": [asdict(finding) for finding in findings],
        "seconds": round(time.monotonic() - began, 1),
    }
    results_file.write(given.json, body, CODE)
    print(f"{body['states']:,} damaged stores, {len(findings)} unnoticed", file=sys.stderr)
    return bool(findings)


def built(seed: int, path: Path) -> tuple[StoreModel, StoreModel]:
    """Build a store of some generations; return the newest and the one before."""
    previous = newest = StoreModel()
    for change, model, _ in make_changes(seed, KINDS):
        apply(change, path, embedder_of(model), SETTINGS[seed % len(SETTINGS)])
        if model.generation != newest.generation:
            previous, newest = newest, model
    return newest, previous


def damage(path: Path, kind: str, rng: random.Random) -> tuple[str, str]:
    """Flip a bit of a file of one kind, or cut it; return the file and what was done."""
    place = path / kind
    files = [file for file in (place, *sorted(place.rglob("*"))) if file.is_file()]
    file = rng.choice(files or [path / "CURRENT"])  # an empty store has no segments
    data = bytearray(file.read_bytes())
    if rng.random() < 0.1:
        done = f"cut to {rng.randrange(len(data))} of {len(data)} bytes"
        del data[int(done.split()[2]) :]
    else:
        bit = rng.randrange(8 * len(data))
        data[bit // 8] ^= 1 << (bit % 8)
        done = f"bit {bit} flipped"
    file.write_bytes(data)
    return file.relative_to(path).as_posix(), done


def outcome_of(path: Path, models: Sequence[StoreModel], rng: random.Random) -> tuple[str, str]:
    """Return what a reader of a damaged store sees, and which promise that breaks; empty: none."""
    newest = models[0].generation
    try:
        with store_errors(Layout(path)), Index.open(path) as index:
            told = bool(index.degradation)
            model = next(one for one in models if one.generation == index.generation)
            compare(index, path, model, rng, _QUERIES)
    except IndexStoreError:
        return "refused", ""
    except Exception as error:  # of any kind: a reader must only ever see the store's own errors
        return UNSEEN, without_path(f"{type(error).__name__}: {error}", path)
    if model.generation < newest and not told:
        return UNSEEN, "an older generation answers without a word"
    return ("told, and right" if told else "harmless"), ""


if __name__ == "__main__":
    sys.exit(main())
