"""The short form of `scripts/bench faults`: a model and the gateway are killed under load, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal

from benchmarks.faults.parts import Fault
from benchmarks.faults.soak import soak
from tests.e2e.server import Server

FAULTS = (Fault("whisper-base", signal.SIGKILL), Fault("gateway", signal.SIGKILL))


def test_no_request_is_lost_or_wrong_but_those_that_met_a_killed_part(server: Server) -> None:
    found = asyncio.run(soak(server, 0, seed=1, faults=FAULTS, pause=(0.5, 1.0)))
    assert (found["lost"], found["hung"], found["wrong"]) == ([], [], [])
    assert found["faults"] == len(FAULTS)
    assert found["answered"]["speech"]
