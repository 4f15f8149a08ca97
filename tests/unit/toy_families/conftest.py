"""The toy families are imported as in the server: by their folder's name, with the parent folder on the path."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
sys.path[:0] = [str(TESTS / "stand_ins"), str(TESTS / "toy_families")]
