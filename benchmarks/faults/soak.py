"""A soak: clients go on while parts of the server are killed and stopped at random."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from typing import Any

import httpx

from benchmarks.faults.outages import Outages
from benchmarks.faults.parts import FAULTS, Fault, memory, parts
from benchmarks.faults.traffic import DEADLINE, Traffic
from tests.e2e.server import Server

_RECOVERY_DEADLINE = 300.0
_CLIENTS = 3


async def soak(
    server: Server,
    seconds: float,
    seed: int,
    faults: tuple[Fault, ...] = FAULTS,
    pause: tuple[float, float] = (3.0, 10.0),
) -> dict[str, Any]:
    """Run clients for so long, and each fault once at least; return the counts, the recovery times and the memory.

    `pause`: the shortest and the longest time from a recovery to the next fault, in seconds; the longest is the last.
    """
    outages = Outages()
    chance = random.Random(seed)
    limits = httpx.Limits(max_keepalive_connections=0)  # a connection to a dead gateway is no lost request
    async with httpx.AsyncClient(base_url=server.url, timeout=DEADLINE, limits=limits, trust_env=False) as http:
        traffic = Traffic(http, outages, seed)
        await traffic.learn()
        before = memory(server.process.pid)
        clients = [asyncio.create_task(traffic.client()) for _ in range(_CLIENTS)]
        recoveries: defaultdict[str, list[float]] = defaultdict(list)
        try:
            end = time.monotonic() + seconds
            order = chance.sample(faults, len(faults))
            while order or time.monotonic() < end:
                await asyncio.sleep(chance.uniform(*pause))
                order = order or chance.sample(faults, len(faults))
                fault = order.pop()
                with outages.outage():
                    took = await _recovery(server, traffic, fault)
                recoveries[str(fault)].append(took)
                print(f"{fault}: recovered after {took} s", flush=True)
            await asyncio.sleep(pause[1])
        finally:
            for client in clients:
                client.cancel()
            ended = await asyncio.gather(*clients, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error  # a client that stopped counts nothing more
        counts = traffic.counts
        return {
            "seconds": seconds,
            "faults": sum(map(len, recoveries.values())),
            "answered": dict(counts.answered),
            "failed_in_outage": counts.failed_in_outage,
            "lost": counts.lost,
            "hung": counts.hung,
            "wrong": counts.wrong,
            "recovery_seconds": {name: sorted(times) for name, times in sorted(recoveries.items())},
            "memory_mb": {"start": before, "end": memory(server.process.pid)},
        }


async def _recovery(server: Server, traffic: Traffic, fault: Fault) -> float:
    """Bring a fault about; return the seconds until the part was replaced and the server spoke and transcribed."""
    victim = parts(server.process.pid)[fault.part]
    began = time.monotonic()
    victim.send_signal(fault.signal)
    while True:
        current = await asyncio.to_thread(parts, server.process.pid)
        replaced = fault.part in current and current[fault.part].pid != victim.pid
        if replaced and await traffic.probe():
            return round(time.monotonic() - began, 1)
        if time.monotonic() - began > _RECOVERY_DEADLINE:
            raise TimeoutError(f"{fault}: not recovered in {_RECOVERY_DEADLINE:g} s\n{server.log.read_text()[-3000:]}")
        await asyncio.sleep(0.2)
