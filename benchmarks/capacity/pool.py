"""A simulated pool: equal servers, a policy that chooses one for each request, and an autoscaler."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import numpy as np
import simpy

from benchmarks.capacity.server import SimulatedServer
from benchmarks.capacity.speeds import Speeds
from benchmarks.capacity.traffic import Request

Policy = Literal["least loaded", "round robin", "least silent"]
"""`least silent` chooses the server with the fewest requests that have no audio yet, then the least loaded."""


@dataclass(frozen=True)
class Scaling:
    """An autoscaler that compares the open requests with those a server should have, as an HPA and KEDA do."""

    least: int
    most: int
    open_requests: float
    """Open requests a server, on average, that it aims for."""
    start_seconds: float
    """From the decision until a new server is ready: the node, the image, the weights, the kernels."""
    every_seconds: float = 15.0
    stable_seconds: float = 300.0
    """A server is only removed if none would have been needed for so long."""


@dataclass(frozen=True)
class Outcome:
    """What a pool did with the requests."""

    requests: Sequence[Request]
    server_seconds: float
    """The sum of the seconds that servers existed, their starts included."""
    cold: int
    """Requests that found no server."""

    def first_audio(self, quantile: float) -> float:
        """Return a quantile of the seconds until the first audio."""
        return float(np.quantile([request.waited for request in self.requests], quantile))

    def later_than(self, seconds: float) -> float:
        """Return the share of requests whose first audio came later."""
        return float(np.mean([request.waited > seconds for request in self.requests]))


class _Pool:
    def __init__(self, environment: simpy.Environment, speeds: Speeds, policy: Policy) -> None:
        self.environment, self.speeds, self.policy = environment, speeds, policy
        self.servers: list[SimulatedServer] = []
        self.starting = 0
        self.held: list[Request] = []
        """Requests that no server can take yet."""
        self.cold = 0
        self.server_seconds = 0.0
        self._turns = count()

    def add(self) -> None:
        """Add a server that is ready, and give it what was held."""
        self.servers.append(SimulatedServer(self.environment, self.speeds))
        held, self.held = self.held, []
        for request in held:
            self.send(request)

    def send(self, request: Request) -> None:
        """Choose a server for a request."""
        if not self.servers:
            self.held.append(request)
            return
        first = next(self._turns) % len(self.servers)  # equal ones take turns, as in the gateway
        servers = self.servers[first:] + self.servers[:first]
        keys = {
            "least silent": lambda server: (server.silent, server.open),
            "least loaded": lambda server: server.open,
            "round robin": lambda _: 0,
        }
        min(servers, key=keys[self.policy]).send(request)

    def arrive(self, requests: Sequence[Request]) -> Generator[simpy.Event, Any]:
        """Send each request at its time."""
        for request in requests:
            yield self.environment.timeout(request.at - self.environment.now)
            self.cold += not self.servers
            self.send(request)

    def start(self, seconds: float) -> Generator[simpy.Event, Any]:
        """Add a server after its start."""
        self.starting += 1
        self.server_seconds += seconds
        yield self.environment.timeout(seconds)
        self.starting -= 1
        self.add()

    def scale(self, scaling: Scaling) -> Generator[simpy.Event, Any]:
        """Follow the load. The most servers that were wanted lately stay."""
        wanted: list[tuple[float, int]] = []
        while True:
            now = self.environment.now
            load = len(self.held) + sum(server.open for server in self.servers)
            wanted.append((now, min(scaling.most, max(scaling.least, math.ceil(load / scaling.open_requests)))))
            wanted = [each for each in wanted if each[0] > now - scaling.stable_seconds]
            for _ in range(wanted[-1][1] - len(self.servers) - self.starting):
                self.environment.process(self.start(scaling.start_seconds))
            for _ in range(len(self.servers) + self.starting - max(number for _, number in wanted)):
                self._remove()
            self.server_seconds += len(self.servers) * scaling.every_seconds
            yield self.environment.timeout(scaling.every_seconds)

    def _remove(self) -> None:
        """Remove the server with the fewest requests; it finishes them."""
        if self.servers:
            self.servers.remove(min(self.servers, key=lambda server: server.open))


def simulate(
    requests: Sequence[Request],
    speeds: Speeds,
    servers: int,
    *,
    policy: Policy = "least loaded",
    scaling: Scaling | None = None,
) -> Outcome:
    """Send the requests to a pool that begins with so many servers, and run until each has ended.

    The requests get their times. With `scaling` the number of servers follows the load.
    """
    environment = simpy.Environment()
    pool = _Pool(environment, speeds, policy)
    for _ in range(servers):
        pool.add()
    arrivals = environment.process(pool.arrive(requests))
    if scaling:
        environment.process(pool.scale(scaling))
    environment.run(until=arrivals)
    while any(math.isnan(request.ended) for request in reversed(requests)):
        environment.run(until=environment.now + 60.0)
    seconds = pool.server_seconds if scaling else servers * environment.now
    return Outcome(requests, seconds, pool.cold)
