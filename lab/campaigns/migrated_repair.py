"""Model check of stores that are mostly migrated and repaired, one after the other.

A repair right after a migration is rare in ``model_check.py``: ``planted_bugs.py`` runs this, too.
"""

from __future__ import annotations

import sys
from unittest import mock

import model_check

_KINDS = {"add": 1, "migrate": 4}
_OPERATIONS = {
    "change": (3, model_check.ModelRun.change),
    "repair": (2, model_check.ModelRun.repair),
}


def main() -> int:
    """Run the campaign; return 1 if a promise is broken."""
    with mock.patch.multiple(model_check, _KINDS=_KINDS, OPERATIONS=_OPERATIONS):
        return model_check.main()


if __name__ == "__main__":
    sys.exit(main())
