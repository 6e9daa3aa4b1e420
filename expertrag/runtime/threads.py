"""How many threads the numerical libraries use, decided before the first of them is loaded.

torch, faiss and numpy each bring an OpenMP that splits a loop evenly and spins until the last
part is done. Where another thread wants the same core, that collapses: on 2 busy cores a token of
the default model took 2,835 ms with two threads, 38 ms with one (24 and 30 ms on idle cores), and
embedding 256 texts 32 s against 5.4 s with two workers of one thread each. So half of the cores
serve one computation, the other half the next one, and waiting threads sleep.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from expertrag_retriever.cores import available_cores


def share_cores() -> None:
    """Set the defaults; what the user has set stands. No effect once torch or faiss is loaded."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // 2)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def all_cores() -> Iterator[None]:
    """Let one computation of torch have all cores: nothing else is at work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(available_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
