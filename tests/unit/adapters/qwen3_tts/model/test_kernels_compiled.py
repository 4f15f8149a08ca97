"""The kernels compile for a GPU, without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = {"_add_norm", "_silu_mul", "_rotate_and_store", "_attend", "_merge", "_draw", "_behind", "_normed_depthwise"}


@pytest.mark.parametrize(("capability", "dtype"), [("90", "bf16"), ("75", "fp16")], ids=["Hopper", "Turing"])
def test_kernels_compile_and_no_rounding_is_fused_away(capability: str, dtype: str, tmp_path: Path) -> None:
    variables = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.unit.adapters.qwen3_tts.model.kernels_compiled", capability, dtype]
    cached = variables | {"TRITON_CACHE_DIR": str(tmp_path)}
    compiled = subprocess.run(command, env=cached, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr
    lines = compiled.stdout.splitlines()
    assert {line.split()[0] for line in lines} == KERNELS
    assert [line for line in lines if not line.endswith(" 0")] == []
