"""The command line of `scripts/finetune`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tritone.families import ROOT

STEPS: Final = ("prepare", "check", "codes", "train", "export", "evaluate", "serve")
"""The steps, in their order."""
WORK: Final = ROOT / "finetunes"

_OPTIONS: Final = (
    "recordings",
    "language",
    "speaker",
    "start",
    "keep_voices",
    "whisper",
    "clip_seconds",
    "epochs",
    "learning_rate",
    "batch_clips",
    "method",
    "seed",
)
"""The arguments that are options of the project."""


@dataclass(frozen=True)
class Arguments:
    """What the command line asks for."""

    name: str
    steps: Sequence[str]
    folder: Path
    """The project's folder."""
    given: dict[str, Any]
    """The options of the project that were given."""
    delete: bool
    again: bool
    """Train anew instead of going on."""


def parse(arguments: Sequence[str]) -> Arguments:
    """Parse the command line; exits with a usage error for a wrong one."""
    parser = _parser()
    given = parser.parse_intermixed_args(arguments)
    step, name = (given.what, given.names[0]) if given.what in STEPS and given.names else ("", given.what)
    if given.what in STEPS and not given.names:
        parser.error(f"{given.what} of which voice? scripts/finetune {given.what} NAME")
    rest = given.names[1:] if step else given.names
    if len(rest) > 1:
        parser.error(f"one folder or file of recordings, not {len(rest)}: {' '.join(rest)}")
    if rest and given.recordings:
        parser.error("name the recordings once")
    recordings = rest[0] if rest else given.recordings
    if recordings:
        given.recordings = str(given.caller / Path(recordings).expanduser())
    if given.start and (folder := given.caller / Path(given.start).expanduser()).is_dir():
        given.start = str(folder)
    options = {key: value for key in _OPTIONS if (value := getattr(given, key)) is not None}
    if step and step != "prepare" and recordings:
        parser.error(f"{step} needs no recordings: scripts/finetune {step} {name}")
    project = given.caller / given.work.expanduser() / name
    return Arguments(name, (step,) if step else STEPS, project, options, given.delete, given.again)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/finetune",
        usage="scripts/finetune NAME RECORDINGS [options]\n       scripts/finetune STEP NAME [options]\n"
        "       scripts/finetune NAME --delete",
        description="Teach Qwen3-TTS a voice: recordings in, a served voice out. Without STEP, all steps are run; what "
        "is done already is not done again. STEP is one of: " + ", ".join(STEPS) + ".",
        epilog="RECORDINGS: a folder of recordings of any length, one recording, or a CSV or JSONL file of clips "
        "with `audio` and `text`. Options are kept in the project's folder, finetunes/NAME."
        " docs/finetuning.md explains all.",
    )
    parser.add_argument("--caller", type=Path, default=Path.cwd(), help=argparse.SUPPRESS)
    parser.add_argument("what", metavar="[STEP] NAME", help="the voice's name, which is the name of the served model")
    parser.add_argument("names", nargs="*", metavar="RECORDINGS")
    voice = parser.add_argument_group("recordings")
    voice.add_argument("--language", help="their language, as a code or a name; otherwise detected")
    voice.add_argument("--speaker", "--speaker_name", help="the voice's name in requests, by default NAME")
    voice.add_argument("--recordings", "--train_jsonl", "--input_jsonl", help=argparse.SUPPRESS)
    voice.add_argument("--whisper", metavar="MODEL", help="what transcribes, by default the best in MODEL_DIR")
    voice.add_argument("--clip-seconds", type=_seconds, help="the longest clip to cut, by default 15")
    training = parser.add_argument_group("training")
    training.add_argument(
        "--base",
        "--init_model_path",
        dest="start",
        metavar="MODEL",
        help="the start: a model's name or a folder; by default Base in 1.7B on a GPU, in 0.6B on a CPU",
    )
    training.add_argument(
        "--keep-voices", action="store_true", default=None, help="start from CustomVoice, so that its voices stay"
    )
    training.add_argument("--epochs", "--num_epochs", type=_positive, help="by default 3 at most")
    training.add_argument("--lr", dest="learning_rate", type=_rate, help="the learning rate")
    training.add_argument("--batch-size", "--batch_size", dest="batch_clips", type=_positive, help="clips of a step")
    training.add_argument(
        "--method", choices=("full", "full-8bit", "lora"), help="by default the best that fits the memory"
    )
    training.add_argument("--seed", type=_seed)
    training.add_argument("--again", action="store_true", help="train anew instead of going on")
    parser.add_argument("--work", type=Path, default=WORK, help="the folder of the projects, by default finetunes")
    parser.add_argument("--delete", action="store_true", help="serve the voice no more; its project's folder stays")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} must be a whole number from 1")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 1 << 63:
        raise argparse.ArgumentTypeError(f"{text} must be a whole number from 0, below 2^63")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < 1:
        raise argparse.ArgumentTypeError(f"{text} must be above 0 and below 1, such as 1e-5")
    return rate


def _seconds(text: str) -> int:
    seconds = _positive(text)
    if seconds > 30:
        raise argparse.ArgumentTypeError(f"{text} must be at most 30")
    return seconds
