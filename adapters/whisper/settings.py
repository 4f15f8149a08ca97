"""The settings of Whisper, as `family.toml` declares them."""

from pathlib import Path
from typing import Final

from tritone.families import Family

FAMILY: Final = Family.load(Path(__file__).parent)
WHISPER_COMPUTE_TYPE: Final = FAMILY.text("WHISPER_COMPUTE_TYPE")
WHISPER_SHORT_CLIPS: Final = FAMILY.text("WHISPER_SHORT_CLIPS")
