"""The benchmarks use the adapters, which import a module that exists only inside Triton."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "stand_ins"))
