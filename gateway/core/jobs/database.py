"""The database of the jobs: SQLite in JOBS_DIR, or the server of JOBS_URL."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from dbos import DBOS, DBOSPortableJSONSerializer
from sqlalchemy import make_url

APP: Final = "tritone"
VERSION: Final = "1"
"""The version of the order of a job's steps: a worker continues only jobs of its own version. The default of DBOS, a
hash of the code, would leave the jobs of an older release alone."""
QUEUE: Final = "jobs"
CALLBACKS: Final = "callbacks"
JOB: Final = "job"
CALLBACK: Final = "callback"
PROGRESS: Final = "progress"

_DEADLINES: Final = {"connect_timeout": "10", "tcp_user_timeout": "30000"}
"""Seconds for a connection, and milliseconds for an answer of a server's machine. Without them a call waits for minutes
on one that has vanished, in one of the few threads that the files of all requests need too."""

SERIALIZER: Final = DBOSPortableJSONSerializer()


def database_url(jobs_url: str, folder: Path) -> str:
    """Return the URL of JOBS_URL with the deadlines that it lacks, or that of the embedded database in `folder`."""
    if not jobs_url:
        return f"sqlite:///{folder.resolve() / 'jobs.sqlite'}"
    url = make_url(jobs_url)
    if not url.drivername.startswith("postgresql"):
        return jobs_url
    return url.set(query={**_DEADLINES, **url.query}).render_as_string(hide_password=False)


def prepare_database(url: str) -> None:
    """Create the tables where they are missing. It blocks."""
    parsed = make_url(url)
    if parsed.drivername.startswith("sqlite") and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        # Readers do not block the writer then; the mode stays with the file.
        with closing(sqlite3.connect(parsed.database, timeout=30)) as connection:
            connection.execute("pragma journal_mode=wal")
    DBOS.migrate(url)


def callback_id(job_id: str) -> str:
    """Return the id of the workflow that delivers the job's callback."""
    return f"callback-{job_id}"


def configure_dbos_logging() -> None:
    """Let DBOS log its errors through the root logger; by default it writes lines of its own form.

    While the database is away it warns several times a second; `FleetMember` says so once.
    """
    logger = logging.getLogger("dbos")
    logger.addHandler(logging.NullHandler())
    logger.addFilter(_is_no_cancellation)
    logger.setLevel(logging.ERROR)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """Return False for the traceback of a cancelled job, which is no error."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or "Cancelled" not in kind.__name__
