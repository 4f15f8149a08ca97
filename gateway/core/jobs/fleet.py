"""The workers on one database: each shows that it is alive, and takes over the jobs of those that are not.

A worker also starts its own job again if it could not record the end, because the disk of the database was full.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Set
from typing import Final

import sqlalchemy as sa
from dbos import DBOSClient

from gateway.core.jobs.database import APP, CALLBACK, CALLBACKS, JOB, QUEUE, SERIALIZER

BEAT: Final = 1.0
"""Seconds between two signs of life."""
DEAD: Final = 10.0
"""Seconds without one after which a worker counts as dead. If it lives, DBOS ends its jobs at their next step."""
_FORGOTTEN: Final = 3600.0
"""Seconds after which a dead worker's row is removed."""

_TABLE: Final = sa.table("tritone_workers", sa.column("name"), sa.column("seen"))
_CREATE: Final = "CREATE TABLE IF NOT EXISTS tritone_workers (name TEXT PRIMARY KEY, seen DOUBLE PRECISION NOT NULL)"
_NOW: Final = {"sqlite": "(julianday('now') - 2440587.5) * 86400.0", "postgresql": "extract(epoch from now())"}
"""The database's clock in Unix seconds: those of several machines may differ."""

logger = logging.getLogger(__name__)


class FleetMember:
    """This worker among the others. `start` it before its first job, `leave` at the end."""

    def __init__(self, url: str, name: str, running: Set[str]) -> None:
        """`running` holds the ids of the jobs and callbacks that this worker runs at present."""
        self._name = name
        self._running = running
        self._ended: dict[str, float] = {}
        """The ids of those that are its own by the database, and which it does not run; since when."""
        self._engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_pre_ping=True)
        self._now = sa.text(_NOW[self._engine.dialect.name])
        self._client = DBOSClient(system_database_url=url, serializer=SERIALIZER, application_name=APP)
        self._last_beat: tuple[float, float] | None = None
        """Its time by this machine's clock and by the database's."""
        self._patient_until = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fleet", daemon=True)

    def start(self) -> None:
        """Show the first sign of life, and go on in a thread. It blocks."""
        with self._engine.begin() as connection:
            connection.execute(sa.text(_CREATE))
        self._beat()
        self._thread.start()

    def leave(self) -> None:
        """Show that this worker ends, so that another one takes its jobs at once. It blocks."""
        self._stop.set()
        self._thread.join()
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_TABLE).where(_TABLE.c.name == self._name))

    def _run(self) -> None:
        away = False
        while not self._stop.wait(BEAT):
            try:
                self._take_over()
            except Exception as error:  # whatever it is, the next attempt may succeed
                if not away:
                    logger.warning("the database of the jobs is away: %s", error)
                away = True
                continue
            if away:
                logger.warning("the database of the jobs is back")
            away = False

    def _take_over(self) -> None:
        """Enqueue the jobs and callbacks of dead workers again, whichever worker found them dead."""
        queues = {JOB: QUEUE, CALLBACK: CALLBACKS}
        # Before the living: a worker shows a sign of life before it takes its first job.
        rows = self._client.list_workflows(status="PENDING", name=[*queues], load_input=False, load_output=False)
        alive = self._beat()
        ended = self._long_ended({row.workflow_id for row in rows if row.executor_id == self._name})
        if time.monotonic() < self._patient_until:
            return
        for name, queue in queues.items():
            of_queue = [row for row in rows if row.name == name]
            if lost := [row.workflow_id for row in of_queue if row.executor_id not in alive]:
                logger.warning("taking over from a dead worker: %s", ", ".join(lost))
            if left := [row.workflow_id for row in of_queue if row.workflow_id in ended]:
                logger.warning("starting again what ended without a record: %s", ", ".join(left))
            for id_ in left:
                del self._ended[id_]  # it is given time to begin
            if lost or left:
                self._client.resume_workflows([*lost, *left], queue_name=queue)

    def _long_ended(self, own: Set[str]) -> Set[str]:
        """Return those of this worker's ids which it has not run for so long that it will not record their end."""
        now = time.monotonic()
        self._ended = {id_: self._ended.get(id_, now) for id_ in own - self._running}
        return {id_ for id_, since in self._ended.items() if now - since > DEAD}

    def _beat(self) -> set[str]:
        """Show a sign of life, and return the names of the living."""
        with self._engine.begin() as connection:
            now = float(connection.execute(sa.select(self._now)).scalar_one())
            connection.execute(sa.delete(_TABLE).where(_TABLE.c.name == self._name))
            connection.execute(sa.insert(_TABLE).values(name=self._name, seen=now))
            connection.execute(sa.delete(_TABLE).where(_TABLE.c.seen < now - _FORGOTTEN))
            names = sa.select(_TABLE.c.name).where(_TABLE.c.seen.between(now - DEAD, now + DEAD))
            alive = set(connection.execute(names).scalars())
        moment = time.monotonic()
        if self._last_beat is not None:
            passed = moment - self._last_beat[0]
            jump = abs(now - self._last_beat[1] - passed)
            if max(passed, jump) > DEAD / 2:
                # The database was away for the others too, or its clock was set: they need time to show that they live.
                self._patient_until = moment + DEAD
        self._last_beat = moment, now
        return alive
