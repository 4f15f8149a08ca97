import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from adapters.whisper.model import TritonPythonModel

__all__ = ["TritonPythonModel"]
