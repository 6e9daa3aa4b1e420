"""Makes the changes of a seed to a store, one after the other, and marks where each is.

Run by ``power_loss.py`` under the recorder: recorded_writer.py FOLDER SEED KIND...
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from changes import SETTINGS, apply, embedder_of, make_changes
from corpus import EMBEDDERS
from store_model import Counts, StoreModel

from expertrag_index.index import Index

MARKS = "marks"
BEGUN, DONE = b"begun\n", b"done\n"
STORE = "shelf/store"
"""Where the store is below the recorded folder, in a folder that does not exist yet."""


def main() -> None:
    """Make the changes; an unexpected report is an error."""
    folder, seed, kinds = Path(sys.argv[1]), int(sys.argv[2]), tuple(sys.argv[3:])
    settings = SETTINGS[seed // 2 % len(SETTINGS)]
    marks = os.open(folder / MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    before = StoreModel(embedder=EMBEDDERS["hashing"])
    with ExitStack() as readers:
        for change, model, counts in make_changes(seed, kinds):
            os.write(marks, BEGUN)
            report = apply(change, folder / STORE, embedder_of(before), settings)
            os.write(marks, DONE)
            if Counts.of(report) != counts:
                raise SystemExit(f"{change} reported {report}, wanted {counts}")
            if seed % 2:  # a reader that stays open keeps SQLite's log from starting again
                readers.enter_context(Index.open(folder / STORE))
            before = model
    os.close(marks)


if __name__ == "__main__":
    main()
