"""A connection to Ray: to a cluster that exists, or to one of this machine alone.

A cluster of this machine listens on the loopback interface only, and accepts who has its token,
which its processes get from the environment. It has no dashboard, and reports no usage. Its folder
is deleted with it.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

from expertrag_index.errors import WorkerError

_OBJECTS_BYTES = 128 << 20
"""Memory for batches under way, of which there are few; Ray would take a third of the machine's."""


_REACHED_S = 10.0
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Named for other systems, 0 has Ray take 127.0.0.1 for the address of this machine on all."""


class RayCluster:
    """Connects at ``open``, and ends at ``close`` what it has started."""

    def __init__(self, address: str | None) -> None:
        """Name a cluster, HOST:PORT; None for one of this machine."""
        self._address = address
        self._ray: Any = None
        self.folder = ""  # with the logs of a cluster of this machine
        self._joined = False

    def open(self, *, gpus: bool) -> Any:
        """Connect, and return the module ``ray``.

        A connection that this process has already is used, and not ended.

        :param gpus: whether a cluster of this machine may use its GPUs.
        :raises ModuleNotFoundError: Ray is not installed.
        :raises WorkerError: there is no such cluster, or it refuses.
        """
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = "."  # matches what Ray would print on stdout
        if self._address is None:
            _private()
        else:
            _check_reachable(self._address)
        import ray

        self._ray = ray
        if ray.is_initialized():
            return ray
        options: dict[str, Any] = {"address": self._address}
        if self._address is None:
            options = self._local(gpus)
        handler = signal.getsignal(signal.SIGTERM)
        self._joined = True  # or half of it, when an error or Ctrl-C ends it
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            where = f"at {self._address}" if self._address else "on this machine"
            raise WorkerError(f"Ray cannot be used {where}: {_line(error)}") from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has set its own
        return ray

    def share(self, workers: int | None, *, gpus: bool) -> tuple[int, dict[str, int]]:
        """Return how many workers there are to be, and what each of them takes of the cluster.

        :raises WorkerError: more are asked for than there are GPUs, or CPUs. Ray would wait.
        """
        there = self._ray.cluster_resources()
        kind = "GPU" if gpus and there.get("GPU", 0) >= 1 else "CPU"
        most = int(there.get(kind, 0))
        count = most if workers is None else workers
        if not 1 <= count <= most:
            raise WorkerError(
                f"{count} workers of one {kind} each are asked for, and the cluster has {most}: "
                f"use --workers {max(1, most)}, or a larger cluster"
            )
        return count, {"num_gpus": 1, "num_cpus": 0} if kind == "GPU" else {"num_cpus": 1}

    def result(self, call: Any, seconds: float, lost: str) -> Any:
        """Wait for the result of a call.

        :param lost: what to say, and what to do, if Ray gives up a worker.
        :raises WorkerError: the worker is lost for good, or has not answered in time.
        """
        errors = self._ray.exceptions
        try:
            return self._ray.get(call, timeout=seconds)
        except errors.GetTimeoutError as error:
            raise WorkerError(
                f"a worker has not answered in {seconds:g} s: other work may hold the cluster"
            ) from error
        except errors.RayError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise WorkerError(f"{lost} ({type(error).__name__}: {reason})") from error

    def end(self, actors: Sequence[Any]) -> None:
        """End actors; calls that wait for them fail."""
        for actor in actors:
            self._ray.kill(actor)

    def close(self) -> None:
        """End the connection, and a cluster that ``open`` has started."""
        if self._joined:
            self._joined = False
            self._ray.shutdown()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = ""

    def _local(self, gpus: bool) -> dict[str, Any]:
        # in /tmp: the path of a socket may have a hundred characters
        self.folder = tempfile.mkdtemp(prefix="expertrag-ray-", dir="/tmp")
        return {
            "address": "local",
            "num_cpus": _cpus(),
            "num_gpus": None if gpus else 0,
            "object_store_memory": _OBJECTS_BYTES,
            "_node_ip_address": "127.0.0.1",
            "_temp_dir": f"{self.folder}/r",  # which all users may enter, unlike the one above
            "include_dashboard": False,
        }


def _private() -> None:
    """Have Ray, which reads this when it is imported, keep to loopback and ask for a token."""
    if "ray" in sys.modules and os.environ.get(_LOOPBACK) != "0":
        raise WorkerError(
            "Ray was imported before, and would listen on the network: call ray.init() first"
        )
    os.environ[_LOOPBACK] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _check_reachable(address: str) -> None:
    """Raise unless something answers: Ray would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdecimal()) or "/" in host:
        raise WorkerError(f"{address!r} is not the address of a Ray cluster: write HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACHED_S).close()
    except (OSError, OverflowError) as error:
        raise WorkerError(
            f"no Ray cluster answers at {address} ({error}): start one there with "
            "`ray start --head`, or correct the address"
        ) from error


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
