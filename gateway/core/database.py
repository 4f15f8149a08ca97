"""The database of jobs and usage: SQLite in JOBS_DIR, or the PostgreSQL server of JOBS_URL."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlencode

from gateway.settings import GatewaySettings

_DEADLINES: Final = {"connect_timeout": "10", "tcp_user_timeout": "30000"}
"""Seconds for a connection, and milliseconds for an answer of a server's machine. Without them a call waits for minutes
on one that has vanished, in one of the few threads that the files of all requests need too."""
_SQLITE: Final = "sqlite:///"
_LOCK_SECONDS: Final = 30


def jobs_database(settings: GatewaySettings) -> str:
    """Return the URL of the database of the jobs."""
    return database_url(settings.jobs_url.get_secret_value(), settings.jobs_dir)


def database_url(jobs_url: str, folder: Path) -> str:
    """Return the URL of JOBS_URL with the deadlines that it lacks, or that of the embedded database in `folder`."""
    if not jobs_url:
        return f"{_SQLITE}{folder.resolve() / 'jobs.sqlite'}"
    if not jobs_url.startswith("postgresql"):
        return jobs_url
    _, asked, query = jobs_url.rpartition("@")[2].partition("?")  # a password may hold a question mark
    missing = {name: value for name, value in _DEADLINES.items() if name not in parse_qs(query)}
    return f"{jobs_url}{'&' if asked else '?'}{urlencode(missing)}" if missing else jobs_url


def sqlite_file(url: str) -> Path | None:
    """Return the file of an embedded database; None for the URL of a server."""
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None


def open_sqlite(file: Path) -> sqlite3.Connection:
    """Open an embedded database; make it where it is missing. Raises `OSError` and `sqlite3.Error`. It blocks."""
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, timeout=_LOCK_SECONDS)
    # Readers do not block the writer then; the mode stays with the file.
    connection.execute("pragma journal_mode=wal")
    return connection


def make_database(url: str) -> None:
    """Create the database of a server, and the tables of the jobs, where they are missing. It blocks."""
    # With a server's database alone: the package takes 37 MB.
    from gateway.core.jobs.database import prepare_database  # noqa: PLC0415

    prepare_database(url)
