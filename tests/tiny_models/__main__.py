"""A MODEL_DIR of Qwen3-TTS checkpoints with random weights, laid out as the published ones are.

They speak noise, at once and everywhere: what is served, and how fast, can be tried without the real weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.tiny_models.qwen3_tts import CHECKPOINTS, TOKENIZER, write_checkpoint, write_speech_tokenizer
from tests.tiny_models.shapes import SHAPES


def main() -> None:
    """Write the models that the command line asks for."""
    parser = argparse.ArgumentParser(prog="make_tiny_models", description=__doc__)
    parser.add_argument("dir", type=Path, help="the folder to fill; set MODEL_DIR to it")
    parser.add_argument(
        "--size",
        choices=SHAPES,
        default="tiny",
        help="tiny: about 1 MB each; thin: as many layers as the real ones, but narrow; full: 1.8 to 4.5 GB each",
    )
    arguments = parser.parse_args()
    for name, (kind, parameters) in CHECKPOINTS.items():
        write_checkpoint(arguments.dir / name, kind, SHAPES[arguments.size][parameters])
        print(arguments.dir / name)
    write_speech_tokenizer(arguments.dir / TOKENIZER, SHAPES[arguments.size]["0.6B"].codec)
    print(arguments.dir / TOKENIZER)


if __name__ == "__main__":
    main()
