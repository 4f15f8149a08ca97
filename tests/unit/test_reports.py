"""No library reports about the server: onnxruntime's wheel sends events to its makers unless it is told not to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.server import ROOT

SUPPRESS = {"CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME"}
"""Variables that would keep onnxruntime from reporting, or from writing into the home."""


@pytest.mark.parametrize("module", ["gateway.app", "adapters.kokoro.network", "adapters.companions.long_transcription"])
def test_onnxruntime_makes_no_identity_of_the_machine(module: str, tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in SUPPRESS}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "stand_ins")])
    subprocess.run(
        [sys.executable, "-c", f"import {module}, onnxruntime"],
        env={**inherited, "HOME": str(tmp_path), "PYTHONPATH": paths},
        check=True,
        timeout=300,
    )
    assert not [path for path in tmp_path.rglob("*") if path.name in ("deviceid", "onnxruntime.db")]
