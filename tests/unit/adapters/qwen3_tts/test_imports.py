"""What a process of the engine imports: the package and transformers take seconds and hundreds of megabytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import sys
from pathlib import Path
from tests.stand_ins import triton_python_backend_utils
sys.modules["triton_python_backend_utils"] = triton_python_backend_utils
import adapters.qwen3_tts.model
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.model.prompt import PromptBuilder
from adapters.qwen3_tts.inflight.model.weights import Weights
weights = Weights.load(Path(sys.argv[1]))
CodecDecoder.load(weights)
PromptBuilder(weights)
print(*sorted({"qwen_tts", "transformers", "librosa", "scipy"} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    ("checkpoint", "imported"),
    [
        ("Qwen3-TTS-12Hz-0.6B-CustomVoice", []),
        ("Qwen3-TTS-12Hz-1.7B-VoiceDesign", []),
        ("Qwen3-TTS-12Hz-0.6B-Base", ["librosa", "qwen_tts", "scipy", "transformers"]),
    ],
)
def test_only_a_checkpoint_that_clones_voices_imports_the_package(
    model_dir: Path, checkpoint: str, imported: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, model_dir / checkpoint], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == imported
