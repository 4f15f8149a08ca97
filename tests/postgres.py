"""A PostgreSQL server of its own, from the system's packages, on a free port of loopback."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg

from tests.ports import free_ports

HOW_TO_INSTALL = "PostgreSQL's server is not installed: apt-get install postgresql"
_USER = "postgres"


def programs() -> Path | None:
    """Return the folder of the newest server's programs, or None."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    return max(found, key=lambda path: int(path.parent.name), default=None)


class Postgres:
    """`with Postgres() as server:` makes an empty cluster and serves it until the end of the block."""

    def __init__(self) -> None:
        found = programs()
        assert found, HOW_TO_INSTALL
        self._programs = found
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        (self._port,) = free_ports(1)
        self._server: subprocess.Popen[bytes] | None = None
        # It refuses to run as root.
        self._as_user: dict[str, Any] = {}
        if os.getuid() == 0:
            user = pwd.getpwnam(_USER)
            os.chown(self._folder, user.pw_uid, user.pw_gid)
            self._as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def __enter__(self) -> Self:
        options = ["-U", _USER, "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"]
        initdb = [str(self._programs / "initdb"), "-D", str(self._folder / "data"), *options]
        subprocess.run(initdb, check=True, capture_output=True, cwd="/", **self._as_user)
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def url(self, database: str) -> str:
        """Return the address of a database, which may not exist yet."""
        return f"postgresql://{_USER}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"]
        # It must not outlive tests that are killed.
        self._server = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                self._programs / "postgres",
                "-D",
                self._folder / "data",
                "-p",
                str(self._port),
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self._as_user,
        )
        deadline = time.monotonic() + 300
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=10).close()
                return
            except psycopg.OperationalError:
                assert self._server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server as a power failure would; `start` recovers what it had written."""
        if self._server:
            children = psutil.Process(self._server.pid).children()
            self._server.kill()
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            self._server.wait()
            # While one of them lives, the database's shared memory is in use, and a new server refuses to start.
            psutil.wait_procs(children, timeout=300)
            self._server = None
