"""The calls to CUDA, without CUDA: a stand-in checks its rules and records the calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from adapters.qwen3_tts.inflight.device.graphs import Graphs

CUDA = torch.device("cuda")


class Stream:
    def __init__(self, device: Any = None, priority: int = 0) -> None:
        self.waited_for: list[Stream] = []
        self.device_index = 1

    def wait_stream(self, other: Stream) -> None:
        self.waited_for.append(other)


class FakeCuda:
    """Records on which stream each work is run. A replay is only recorded."""

    def __init__(self) -> None:
        self.main = self.current = Stream()
        self.capturing = False
        self.pools = 0
        self.done: list[tuple[Stream, bool]] = []
        """The stream of each work, and True if it was captured."""
        self.replayed: list[Any] = []

    def work(self) -> int:
        self.done.append((self.current, self.capturing))
        return len(self.done)

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(self, graph: Any, pool: Any, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        assert not self.capturing
        assert pool is not None
        self.capturing, before, self.current = True, self.current, stream
        try:
            yield
        except ZeroDivisionError as error:
            raise RuntimeError("the capture has failed") from error  # and leave everything else as it is
        self.capturing, self.current = False, before

    def leave_capture(self, device: int, pool: int) -> None:
        assert (device, pool) == (1, self.pools)
        self.capturing = False

    def new_pool(self) -> int:
        self.pools += 1
        return self.pools


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda()

    class Graph:
        def replay(self) -> None:
            fake.replayed.append(self)

    for name, value in {
        "Stream": Stream,
        "stream": fake.stream,
        "current_stream": lambda: fake.current,
        "graph": fake.graph,
        "CUDAGraph": Graph,
        "graph_pool_handle": fake.new_pool,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", fake.leave_capture, raising=False)
    return fake


def test_each_kind_of_work_is_captured_once_and_then_replayed(cuda: FakeCuda) -> None:
    graphs = Graphs(CUDA)
    results = [graphs.run(key, cuda.work) for key in ("some", "other", "some", "some")]
    assert results[0] == results[2] == results[3] != results[1]
    assert [captured for _, captured in cuda.done] == [False, False, False, True] * 2
    some, other = cuda.replayed[:2]
    assert cuda.replayed == [some, other, some, some]
    assert len(graphs) == 2


def test_graphs_instances_capture_on_streams_of_their_own(
    cuda: FakeCuda,
) -> None:
    for graphs in (Graphs(CUDA), Graphs(CUDA)):
        graphs.run("some", cuda.work)
    streams = [stream for stream, _ in cuda.done]
    assert len(set(streams)) == 2
    assert len(set(streams[:4])) == len(set(streams[4:])) == 1
    assert cuda.main not in streams
    assert cuda.main.waited_for == [streams[0], streams[4]]  # the warm-up must be done before the replay
    assert cuda.pools == 2


def test_failed_capture_restores_the_current_stream(cuda: FakeCuda) -> None:
    graphs = Graphs(CUDA)
    with pytest.raises(RuntimeError, match="the capture has failed"):
        graphs.run("some", lambda: 1 // (not cuda.capturing))
    assert (cuda.current, cuda.capturing) == (cuda.main, False)
    assert graphs.run("other", cuda.work)
    assert len(graphs) == 1


@pytest.mark.parametrize("graphs", [Graphs(torch.device("cpu")), Graphs(CUDA, enabled=False)], ids=["CPU", "disabled"])
def test_disabled_graphs_run_the_work_directly(graphs: Graphs) -> None:
    done: list[int] = []
    assert [graphs.run("some", lambda: done.append(1)) for _ in range(3)] == [None] * 3
    assert len(done) == 3
    assert len(graphs) == 0
