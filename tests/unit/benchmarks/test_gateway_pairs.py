"""The comparison of several ways to do the same, which take turns."""

from __future__ import annotations

import pytest

from benchmarks.gateway.pairs import compared, table, time_in_turns


def test_what_a_way_adds_is_measured_within_each_round() -> None:
    times = {"gRPC": [0.1, 0.5, 0.9], "gateway": [0.102, 0.501, 0.903]}
    figures = compared(times, "gRPC")
    assert figures["gateway"]["adds"] == {"p50_ms": pytest.approx(2.0), "p99_ms": pytest.approx(2.98)}
    assert "adds" not in figures["gRPC"]


def test_the_ways_take_turns_and_the_first_rounds_are_not_kept() -> None:
    calls: list[str] = []

    def way(name: str, seconds: float) -> float:
        calls.append(name)
        return seconds + len(calls)

    times = time_in_turns(2, {"a": lambda: way("a", 0.0), "b": lambda: way("b", 0.0)}, warm_up=1)
    assert all({*calls[turn : turn + 2]} == {"a", "b"} for turn in (0, 2, 4))
    assert sorted(times["a"] + times["b"]) == [3.0, 4.0, 5.0, 6.0]


def test_the_table_has_a_line_for_each_way() -> None:
    figures = compared({"gRPC": [0.1], "gateway": [0.102]}, "gRPC")
    figures["gateway"]["cpu_ms"] = 1.25
    head, grpc, gateway = table({"a transcript": figures}).splitlines()
    assert head.split() == ["way", "p50", "p99", "adds", "p50", "adds", "p99", "CPU"]
    assert grpc.split()[-3:] == ["gRPC", "100.00", "100.00"]
    assert gateway.split()[-5:] == ["102.00", "102.00", "2.00", "2.00", "1.25"]
