"""The settings of Kokoro, as `family.toml` declares them."""

from pathlib import Path
from typing import Final

from tritone.families import Family

FAMILY: Final = Family.load(Path(__file__).parent)
KOKORO_MAX_REQUESTS: Final = FAMILY.integer("KOKORO_MAX_REQUESTS")
KOKORO_GRAPH: Final = FAMILY.text("KOKORO_GRAPH")
KOKORO_ENGINE: Final = FAMILY.text("KOKORO_ENGINE")
KOKORO_DTYPE: Final = FAMILY.text("KOKORO_DTYPE")
KOKORO_BATCH_FRAMES: Final = FAMILY.integer("KOKORO_BATCH_FRAMES")
KOKORO_CUDA_GRAPHS: Final = FAMILY.text("KOKORO_CUDA_GRAPHS")
