"""Cosines of a query with stored vectors, computed in C++ (``cpu/``) as they are read from a file.

Vectors that are read, not mapped, do not count as memory of the process. Where nothing is compiled,
``vector_rows`` computes the same in numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from expertrag_index.compiled import load_module
from expertrag_index.types import FloatArray

CosinesOfRows: TypeAlias = Callable[
    [int, int, bool, NDArray[np.int64], FloatArray, FloatArray], int
]
"""``(file descriptor, offset of row 0, whether to ask for all rows first, rows [N], query [D],
cosines [N])``: writes the cosines with vectors of float16. Returns 0, the number of the system's
error, or -1 if the file ends before a row."""


def load_cosines() -> CosinesOfRows | None:
    """Return the compiled function; None where nothing was compiled."""
    module = load_module("_cosines")
    return module.cosines if module else None
