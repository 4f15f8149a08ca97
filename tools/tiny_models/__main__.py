"""A MODEL_DIR of checkpoints with random weights, laid out as the published ones are.

They synthesize and transcribe noise. With them, serving and its speed can be tried on any machine without the real
weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.tiny_models.f5_tts import F5_CHECKPOINTS, F5_SHAPES, write_f5_checkpoint
from tools.tiny_models.qwen2_5_omni import OMNI_CHECKPOINTS, OMNI_SHAPES, write_omni_checkpoint
from tools.tiny_models.qwen3_tts import CHECKPOINTS, TOKENIZER, write_checkpoint, write_speech_tokenizer
from tools.tiny_models.shapes import SHAPES
from tools.tiny_models.zonos import MODEL as ZONOS
from tools.tiny_models.zonos import ZONOS_SHAPES, write_zonos_checkpoint


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
    parser.add_argument(
        "--only",
        choices=[*CHECKPOINTS, *OMNI_CHECKPOINTS, *F5_CHECKPOINTS, ZONOS],
        action="append",
        help="write this checkpoint alone, may be repeated; without it, those of Qwen3-TTS are written",
    )
    parser.add_argument("--device", default="cpu", help="where the weights are drawn: cuda takes seconds for full")
    arguments = parser.parse_args()
    wanted = arguments.only or [*CHECKPOINTS]
    for name in wanted:
        if name in OMNI_CHECKPOINTS:
            if arguments.size not in OMNI_SHAPES:
                parser.error(f"{name} has no size {arguments.size}; choose from {', '.join(OMNI_SHAPES)}")
            write_omni_checkpoint(arguments.dir / name, OMNI_SHAPES[arguments.size], awq=OMNI_CHECKPOINTS[name])
        elif name in F5_CHECKPOINTS:
            write_f5_checkpoint(arguments.dir / name, F5_SHAPES[arguments.size], device=arguments.device)
        elif name == ZONOS:
            if arguments.size not in ZONOS_SHAPES:
                parser.error(f"{name} has no size {arguments.size}; choose from {', '.join(ZONOS_SHAPES)}")
            write_zonos_checkpoint(arguments.dir, ZONOS_SHAPES[arguments.size])
        else:
            kind, parameters = CHECKPOINTS[name]
            write_checkpoint(arguments.dir / name, kind, SHAPES[arguments.size][parameters], device=arguments.device)
        print(arguments.dir / name)
    if set(wanted) & CHECKPOINTS.keys():
        write_speech_tokenizer(arguments.dir / TOKENIZER, SHAPES[arguments.size]["0.6B"].codec)
        print(arguments.dir / TOKENIZER)


if __name__ == "__main__":
    main()
