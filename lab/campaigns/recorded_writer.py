"""Makes changes to a store, one after the other, and marks where each begins and ends.

Run by ``scenarios.py`` under the recorder, with the folder and a ``Scenario`` as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from changes import SETTINGS, apply, embedder_of, make_changes
from corpus import EMBEDDERS
from killed_writer import killed_before
from scenarios import MARKS, STORE, Scenario, mark
from store_model import StoreModel

from expertrag_index.store.index import Index


def main() -> None:
    """Make the changes; an unexpected report is an error."""
    folder, scenario = Path(sys.argv[1]), Scenario(**json.loads(sys.argv[2]))
    settings = SETTINGS[scenario.settings]
    marks = os.open(folder / MARKS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    changes = make_changes(scenario.seed, scenario.kinds)
    before = StoreModel(embedder=EMBEDDERS["hashing"])
    with ExitStack() as readers:
        for number, (change, model, counts) in enumerate(changes):
            if number >= scenario.start:
                os.write(marks, mark("begun", number))
                dies = scenario.kill if number == scenario.killed_in else 0
                with killed_before(dies, files_only=True):
                    outcome = apply(change, folder / STORE, embedder_of(before), settings)
                os.write(marks, mark("done", number))
                again = scenario.again and number == scenario.start  # it may be there already
                if not again and outcome.counts != counts:
                    raise SystemExit(f"{change} reported {outcome}, wanted {counts}")
                if scenario.reader:
                    readers.enter_context(Index.open(folder / STORE))
            before = model
    os.close(marks)


if __name__ == "__main__":
    main()
