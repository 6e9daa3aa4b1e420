"""Defaults apply unless the user sets the variables, and reach torch."""

from __future__ import annotations

import os
import subprocess
import sys

from expertrag_common.cores import available_cores

CODE = """
from expertrag.runtime.threads import share_cores
import os
share_cores()
import torch
print(torch.get_num_threads(), os.environ["OMP_NUM_THREADS"])
"""


WORKER = """
from expertrag.runtime.threads import one_core
one_core()
import torch
from expertrag_common.cores import concurrent_batches
print(torch.get_num_threads(), concurrent_batches("cpu"))
"""


def threads(code: str = CODE, **environment: str) -> list[int]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(number) for number in done.stdout.split()]


def test_one_computation_uses_half_of_the_cores() -> None:
    half = max(1, available_cores() // 2)
    assert threads() == [half, half]


def test_user_settings_are_kept() -> None:
    assert threads(OMP_NUM_THREADS="3")[1] == 3


def test_a_worker_among_others_uses_one_core() -> None:
    assert threads(WORKER, OMP_NUM_THREADS="4") == [1, 1]
