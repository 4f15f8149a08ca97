"""The machine, and two upper bounds of it: the rates of copies and of matrix products."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import torch
import transformers

from adapters.qwen3_tts.inflight.model.kernels import available
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.steps import Step
from benchmarks.gpu.timing import captured, milliseconds

_QUERY = "name,driver_version,memory.total,memory.used,clocks.sm,clocks.mem,power.limit,compute_mode,mig.mode.current"
_SMALL = 1000


def steps(rig: Rig) -> Iterator[Step]:
    """Measure the machine, before all other parts."""
    yield Step("device", 5, lambda: _device(rig))
    yield Step("copy_bytes_per_second", 5, lambda: _copy(rig))
    yield Step("matmul_flop_per_second", 5, lambda: _matmul(rig))
    yield Step("kernel_in_graph_us", 5, lambda: _launch(rig))


def _device(rig: Rig) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
        "dtype": rig.options.dtype,
        "fused_kernels": available(rig.device),
        "graphs": rig.graphs(enabled=True).enabled,
    }
    if rig.device.type == "cuda":
        import triton  # noqa: PLC0415 - the language of the kernels, which a CPU need not have

        properties = torch.cuda.get_device_properties(rig.device)
        figures |= {
            "triton": triton.__version__,
            "name": properties.name,
            "capability": f"{properties.major}.{properties.minor}",
            "memory_gb": round(properties.total_memory / 2**30, 1),
            "multiprocessors": properties.multi_processor_count,
            "nvidia_smi": _nvidia_smi(),
        }
    return figures


def _nvidia_smi() -> dict[str, str]:
    command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return {"error": str(error)}
    return dict(zip(_QUERY.split(","), map(str.strip, answer.stdout.split(",")), strict=False))


def _copy(rig: Rig) -> float:
    """Return the bytes read and written per second by a copy that no cache can hold."""
    source = torch.randint(255, (rig.options.pick(1 << 32, 1 << 26),), dtype=torch.uint8, device=rig.device)
    target = torch.empty_like(source)
    return round(2e3 * float(source.nbytes) / milliseconds(rig.device, lambda: target.copy_(source), 3))


def _matmul(rig: Rig) -> float:
    """Return the operations per second of a product of two square matrices of random numbers."""
    side = rig.options.pick(8192, 512)
    x, y = (torch.randn(side, side, device=rig.device).to(rig.dtype) for _ in range(2))
    flops = float(2 * side**3)
    return round(1e3 * flops / milliseconds(rig.device, lambda: x @ y, 5))


def _launch(rig: Rig) -> float:
    """Return the microseconds of a kernel that does next to nothing, in a graph of many."""
    x = torch.zeros(16, device=rig.device)

    def small() -> None:
        for _ in range(_SMALL):
            x.add_(1)

    return round(1e3 * milliseconds(rig.device, captured(rig.device, small), 1) / _SMALL, 3)
