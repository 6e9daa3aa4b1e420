"""A folder for a socket that only this user reaches."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path

_PREFIX = "expertrag-"
_NAME = "grpc.sock"


class PrivateSocket:
    """A path for a socket, in a folder of its own in the folder of temporary files."""

    def __init__(self) -> None:
        """Make the folder, and remove those that killed servers have left there."""
        for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_NAME}"):
            if _is_refused(path):
                shutil.rmtree(path.parent, ignore_errors=True)
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)

    @property
    def address(self) -> str:
        """Address for gRPC."""
        return f"unix:{self._folder.name}/{_NAME}"

    def remove(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def _is_refused(path: Path) -> bool:
    """Whether nobody listens at a socket; False for those of other users."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
    return False
