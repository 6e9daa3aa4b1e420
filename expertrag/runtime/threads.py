"""Set the number of threads of the numerical libraries, before any of them is loaded.

torch, faiss and numpy each bring an OpenMP runtime that splits a loop evenly and spins until the
last part is done. That collapses if another thread uses the same core. On 2 busy cores a token of
the default model took 2,835 ms with two threads and 38 ms with one. On idle cores it took 24 and 30
ms. Embedding 256 texts took 32 s, against 5.4 s with two workers of one thread each. So one
computation uses half of the cores, leaving the other half to the next, and waiting threads sleep.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from expertrag_common.cores import available_cores, use_cores


def share_cores() -> None:
    """Set defaults, unless the user has set them. No effect once torch or faiss is loaded."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, available_cores() // 2)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def one_core() -> None:
    """Let this process use one core, before torch is loaded: a worker among others."""
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):  # torch's, tokenizers'
        os.environ[name] = "1"
    use_cores(1)
    import torch

    torch.set_num_threads(1)


@contextmanager
def all_cores() -> Iterator[None]:
    """Let torch use all cores in the block, for a process that does nothing else."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(available_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
