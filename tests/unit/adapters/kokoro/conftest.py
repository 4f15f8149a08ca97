from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.kokoro.phonemes import Phonemizer

VOICES = ("af_heart", "am_puck", "bf_emma", "ef_dora", "em_alex", "ff_siwis", "hf_alpha", "jf_alpha", "zf_xiaobei")


@pytest.fixture
def voices_folder(tmp_path: Path) -> Path:
    """Write the voices of a checkpoint, each with 510 styles; row n of voice k is filled with k + n / 1000."""
    for k, name in enumerate(VOICES):
        styles = np.repeat(k + np.arange(510, dtype="<f4") / 1000, 256)
        styles.tofile(tmp_path / f"{name}.bin")
    return tmp_path


@pytest.fixture(scope="session")
def phonemizer() -> Phonemizer:
    return Phonemizer()
