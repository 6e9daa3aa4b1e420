"""Planted bugs: copies of the store with a fault, each of which a campaign must find.

    make lab-campaign-planted-bugs ARGS="--json FILE"

This shows that the campaigns can fail. Faults that the store once had are among them: their cure
is undone, and the campaign that found them must find them again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import results_file
from power_loss import CODE
from tqdm import tqdm

import expertrag_common
import expertrag_index

HERE = Path(__file__).parent
OWN_CODE = ("lab/campaigns/planted_bugs.py", "lab/campaigns/migrated_repair.py")
SIZES = {
    "power_loss": ["--seeds", "2", "--states", "160", "--kill-every", "0", "--again", "0"],
    "corruption": ["--seeds", "1", "--states", "100"],
    "model_check": ["--seeds", "2", "--steps", "25"],
    "migrated_repair": ["--seeds", "6", "--steps", "50"],
}
"""The campaigns by name, and how large they are run."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A fault: what is replaced in one file of the store, and the campaign that must find it.

    ``arguments``: those of a campaign that finds a rare one; if what a seed does has changed,
    search another seed.
    """

    name: str
    campaign: str
    file: str
    old: str
    new: str
    arguments: tuple[str, ...] = ()


PLANTS = (
    Plant(
        "skipped flush of a file",
        "power_loss",
        "expertrag_common/durable.py",
        "        os.fsync(file.fileno())\n",
        "",
    ),
    Plant(
        "skipped flush of a folder after a rename",
        "power_loss",
        "expertrag_common/durable.py",
        "    temporary.replace(path)\n    fsync_folder(path.parent)\n",
        "    temporary.replace(path)\n",
    ),
    Plant(
        "skipped flush of SQLite's log",
        "power_loss",
        "expertrag_index/store/schema.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
    ),
    Plant(
        "ignored checksum of a segment",
        "corruption",
        "expertrag_index/search/segment_files.py",
        "hexdigest() != entry.sha256:\n",
        "hexdigest() == '':\n",
    ),
    Plant(
        "ignored checksum of a manifest",
        "corruption",
        "expertrag_index/store/manifest.py",
        "        intact = _canonical(body) == data\n",
        "        intact = True\n",
        ("--seeds", "2", "--states", "400"),
    ),
    Plant(
        "lost write: deleted chunks",
        "model_check",
        "expertrag_index/build/staging.py",
        "UPDATE chunks SET removed_in = ?1 WHERE +added_in",
        "UPDATE chunks SET removed_in = ?1 WHERE 0 AND +added_in",
    ),
    Plant(
        "lost write: words of new chunks",
        "model_check",
        "expertrag_index/words/chunk_terms.py",
        "        return tokens(title) + tokens(text)\n",
        "        return tokens(title) + tokens(text)[:-1]\n",
    ),
    Plant(
        "ignored seal of the versions",
        "corruption",
        "expertrag_index/store/opening.py",
        "        check_seal(connection, known=known)\n",
        "        pass\n",
        ("--seeds", "2", "--states", "600"),
    ),
    Plant(
        "a restricted reader's BM25 counts hidden chunks",
        "model_check",
        "expertrag_index/postings/search.py",
        "            own = part.of(segment.lengths)\n",
        "            own = segment.lengths\n",
    ),
    Plant(
        "a restricted reader's filter finds hidden chunks",
        "model_check",
        "expertrag_index/store/index.py",
        "            keys = np.intersect1d(keys, self._generation.live, assume_unique=True)\n",
        "            pass\n",
    ),
    Plant(
        "skipped flush of a folder before the store that it replaces is deleted",
        "power_loss",
        "expertrag_index/upkeep/exchange.py",
        "        fsync_folder(target.parent)\n        shutil",
        "        shutil",
    ),
    Plant(
        "BM25 finds deleted chunks",
        "model_check",
        "expertrag_index/store/index.py",
        "PostingSearcher(generation.postings, generation.live)",
        "PostingSearcher(generation.postings)",
    ),
    Plant(
        "old bug: a killed restore that is run again deleted a store that could come back",
        "power_loss",
        "expertrag_index/upkeep/exchange.py",
        "        fsync_folder(target.parent)\n        empty(layout)\n",
        "        empty(layout)\n",
        (
            *("--seeds", "1", "--states", "4", "--again", "0"),
            *("--kill-in", "restore", "--kill-every", "27"),
        ),
    ),
    Plant(
        "old bug: the generation of a restored store could be lost",
        "power_loss",
        "expertrag_index/upkeep/backup.py",
        "    flush_folders(copy.root)\n    return size",
        "    from expertrag_common.durable import fsync_folder\n\n"
        "    fsync_folder(copy.root)\n    return size",
    ),
    Plant(
        "old bug: a new store's folder could be lost after its first build",
        "power_loss",
        "expertrag_index/build/publish.py",
        "        flush_names_above(layout.root)\n",
        "",
    ),
    Plant(
        "old bug: a repair took the embedder of another generation",
        "migrated_repair",
        "expertrag_index/upkeep/repair.py",
        "    for number in (current, None, *layout.generation_numbers()):\n",
        "    for number in (*layout.generation_numbers(), None):\n",
    ),
)


@dataclass(frozen=True, slots=True)
class Hunt:
    """How a campaign fared: how many promises it found broken, and where first."""

    name: str
    campaign: str
    found: int
    first: dict[str, object]
    seconds: float


def main() -> int:
    """Run the campaign; return 1 if a fault is not found, or one is found where none is."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--only", help="only the faults with this in their names")
    given = parser.parse_args()
    began = time.monotonic()
    plants = [plant for plant in PLANTS if (given.only or "") in plant.name]
    controls = [hunt_without(campaign) for campaign in tqdm(SIZES, desc="without a fault")]
    hunts = [hunt(plant) for plant in tqdm(plants, desc="planted")]
    for done in hunts:
        print(f"{done.name}: {done.first or 'NOT FOUND'} ({done.campaign})", file=sys.stderr)
    body = {
        "planted": len(hunts),
        "found": sum(bool(done.found) for done in hunts),
        "false_alarms": sum(bool(done.found) for done in controls),
        "hunts": [asdict(done) for done in hunts],
        "controls": [asdict(done) for done in controls],
        "seconds": round(time.monotonic() - began, 1),
    }
    results_file.write(given.json, body, (*CODE, *OWN_CODE))
    print(f"{body['found']} of {len(hunts)} planted bugs found", file=sys.stderr)
    return int(body["found"] != len(hunts) or body["false_alarms"] != 0)


PREFER_COPY = """
import pathlib, sys
from importlib.machinery import PathFinder

class Copy:
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in ("expertrag_common", "expertrag_index"):
            return PathFinder.find_spec(name, path or [str(pathlib.Path(__file__).parent)])

sys.meta_path.insert(0, Copy)
"""
"""Run at the start of every process: an editable installation would come before PYTHONPATH."""


def hunt(plant: Plant) -> Hunt:
    """Run the campaign that must find a fault, on a copy of the store that has it."""
    with tempfile.TemporaryDirectory() as work:
        for package in (expertrag_common, expertrag_index):
            for folder in map(Path, package.__path__):  # an editable one has its modules in two
                shutil.copytree(folder, Path(work) / folder.name, dirs_exist_ok=True)
        plant_in(plant, Path(work))
        (Path(work) / "sitecustomize.py").write_text(PREFER_COPY, encoding="utf-8")
        arguments = plant.arguments or SIZES[plant.campaign]
        return _hunt(plant.name, plant.campaign, arguments, [work, *sys.path])


def hunt_without(campaign: str) -> Hunt:
    """Run a campaign as it is run on copies with a fault, on the store as it is."""
    return _hunt("none", campaign, SIZES[campaign], sys.path)


def plant_in(plant: Plant, packages: Path) -> None:
    """Change the copies of packages in a folder.

    :raises ValueError: the code that is to be changed is not there, or is there twice.
    """
    path = packages / plant.file
    code = path.read_text(encoding="utf-8")
    if code.count(plant.old) != 1:
        raise ValueError(f"{plant.name}: {plant.file} has changed; change the plant too")
    path.write_text(code.replace(plant.old, plant.new), encoding="utf-8")


def _hunt(name: str, campaign: str, arguments: Sequence[str], path: Sequence[str]) -> Hunt:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "found.json"
        script = str(HERE / f"{campaign}.py")
        done = subprocess.run(
            [sys.executable, script, *arguments, "--json", str(out)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, 1) or not out.is_file():
            raise RuntimeError(f"{campaign} failed on {name!r}:\n{done.stderr[-2000:]}")
        found = json.loads(out.read_text("utf-8"))
    first = found["findings"][0] if found["findings"] else {}
    return Hunt(name, campaign, found["broken"], first, round(time.monotonic() - began, 1))


if __name__ == "__main__":
    sys.exit(main())
