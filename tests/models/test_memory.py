"""Available memory of the machine and of its control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag.models.memory import available_bytes

GIB = 1 << 30
MEMINFO = "MemTotal:       33554432 kB\nMemFree:         1048576 kB\nMemAvailable:   25165824 kB\n"


def test_of_this_machine() -> None:
    found = available_bytes()
    assert found is None or 0 < found < 1 << 50


@pytest.mark.parametrize(
    ("files", "available"),
    [
        ({}, None),
        ({"proc/meminfo": "MemTotal: 1 kB\n"}, None),
        ({"proc/meminfo": MEMINFO}, 24 * GIB),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/user/service\n",
                "sys/fs/cgroup/user/service/memory.max": "max\n",
                "sys/fs/cgroup/user/service/memory.current": f"{3 * GIB}\n",
                "sys/fs/cgroup/user/memory.max": f"{8 * GIB}\n",
                "sys/fs/cgroup/user/memory.current": f"{5 * GIB}\n",
                "sys/fs/cgroup/user/memory.stat": f"anon 1\ninactive_file {GIB}\n",
            },
            4 * GIB,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "0::/docker/0123\n",
                "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
            },
            0,
        ),
        (
            {
                "proc/meminfo": MEMINFO,
                "proc/self/cgroup": "11:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/job\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{6 * GIB}\n",
                "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{4 * GIB}\n",
                "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{2 * GIB}\n",
                "sys/fs/cgroup/memory/job/memory.stat": f"cache 5\ntotal_inactive_file {GIB}\n",
            },
            3 * GIB,
        ),
    ],
    ids=["no meminfo", "an old meminfo", "no groups", "version 2", "a container", "version 1"],
)
def test_of_a_machine(tmp_path: Path, files: dict[str, str], available: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_bytes(tmp_path) == available
