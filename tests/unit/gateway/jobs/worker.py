"""`python -m tests.unit.gateway.jobs.worker`: a worker without weights, whose callbacks and take-overs wait less."""

from __future__ import annotations

import asyncio
import os
from unittest import mock

from gateway.core.jobs import callbacks, fleet
from gateway.jobs import work
from gateway.settings import GatewaySettings
from gateway.telemetry import configure_logging
from tests.unit.gateway.loudness import LoudnessDetectors

if __name__ == "__main__":
    configure_logging("INFO")
    settings = GatewaySettings(_env_file=None)  # type: ignore[call-arg]
    with (
        mock.patch.object(callbacks, "PAUSES", (0.1,) * 3),
        mock.patch.object(fleet, "BEAT", 0.2),
        mock.patch.object(fleet, "DEAD", float(os.environ.get("DEAD", fleet.DEAD))),
    ):
        asyncio.run(work(settings, LoudnessDetectors()))
