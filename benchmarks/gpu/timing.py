"""The time of work on the device, by the device's own clock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from adapters.qwen3_tts.inflight.device.graphs import Graphs

_ROUNDS = 5


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def milliseconds(device: torch.device, work: Callable[[], Any], times: int) -> float:
    """Return the milliseconds of `work` on the device, issued `times` times in a row: the median of some rounds."""
    rounds = []
    work()
    for _ in range(_ROUNDS):
        synchronize(device)
        if device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(times):
                work()
            end.record()
            end.synchronize()
            rounds.append(float(begin.elapsed_time(end)) / times)
        else:
            started = time.perf_counter()
            for _ in range(times):
                work()
            rounds.append(1e3 * (time.perf_counter() - started) / times)
    return median(rounds)


def host_milliseconds(device: torch.device, work: Callable[[], Any], times: int) -> float:
    """Return the milliseconds of the host to issue `work` once; on a CPU, to do it."""
    synchronize(device)
    started = time.perf_counter()
    for _ in range(times):
        work()
    issued = time.perf_counter() - started
    synchronize(device)
    return 1e3 * issued / times


def captured(device: torch.device, work: Callable[[], Any]) -> Callable[[], Any]:
    """Return `work` as a CUDA graph, so that the time does not include launches; on a CPU, unchanged."""
    graphs = Graphs(device)
    return lambda: graphs.run("work", work)


def kernels(device: torch.device, work: Callable[[], Any], trace: Path | None = None) -> dict[str, Any]:
    """Return the kernels of one `work`, and the slowest of them; on a CPU, torch's operations."""
    kind, activity = (
        (DeviceType.CUDA, ProfilerActivity.CUDA) if device.type == "cuda" else (DeviceType.CPU, ProfilerActivity.CPU)
    )
    work()
    synchronize(device)
    with profile(activities=[activity]) as profiler:
        work()
        synchronize(device)
    if trace is not None:
        profiler.export_chrome_trace(str(trace))
    count: Counter[str] = Counter()
    microseconds: Counter[str] = Counter()
    for event in profiler.events():
        if event.device_type == kind:
            on_gpu = device.type == "cuda"
            count[event.name] += 1
            microseconds[event.name] += event.time_range.elapsed_us() if on_gpu else event.self_cpu_time_total
    return {
        "count": count.total(),
        "busy_ms": round(microseconds.total() / 1e3, 4),
        "longest": [
            {"name": name[:120], "count": count[name], "us": round(spent, 1)}
            for name, spent in microseconds.most_common(16)
        ],
    }
