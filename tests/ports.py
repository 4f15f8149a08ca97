"""Ports for servers of tests and benchmarks."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Iterator
from typing import Final

_RANGE: Final = range(15_000, 32_000)
"""Below those that Linux gives to clients and to port 0: nothing takes a port between its choice and its use."""


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports of loopback on which no process listens. One process gets none of them twice."""
    return tuple(itertools.islice(filter(_is_free, _candidates), count))


def _in_turn() -> Iterator[int]:
    start = random.randrange(len(_RANGE))
    return itertools.cycle((*_RANGE[start:], *_RANGE[:start]))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_candidates = _in_turn()
