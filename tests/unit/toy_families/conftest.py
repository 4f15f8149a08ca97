"""The adapters import a module that exists only inside Triton; these tests use its stand-in."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "stand_ins"))
