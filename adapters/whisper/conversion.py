"""`python -m adapters.whisper.conversion FOLDER TARGET`: convert a Whisper from Hugging Face's format to CTranslate2's.

It runs in the `qwen` environment, which has torch and transformers.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import transformers
from ctranslate2.converters import TransformersConverter


def convert(folder: Path, target: Path) -> None:
    """Write `target`, which must not exist, with float16 weights and the other files that faster-whisper needs."""
    TransformersConverter(str(folder), load_as_float16=True, low_cpu_mem_usage=True).convert(
        str(target), quantization="float16"
    )
    # A fine-tuned checkpoint may have only the older files of a tokenizer.
    transformers.AutoTokenizer.from_pretrained(folder).backend_tokenizer.save(str(target / "tokenizer.json"))
    if (preprocessor := folder / "preprocessor_config.json").exists():
        shutil.copy(preprocessor, target)


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
