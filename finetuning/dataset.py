"""A data set: clips with their text, their codes, and each speaker's embedding.

```
DATASET/
  clips.jsonl    a clip a line, the fields of `Clip`
  codes.npz      clip id -> codes (frames, 16), int16
  speakers.npz   speaker -> embedding (hidden,), float32, by the speaker encoder of Base in the start's size
```
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetuning.errors import FineTuningError
from tritone.whole_file import write_text, writing_whole

CLIPS, CODES, SPEAKERS = "clips.jsonl", "codes.npz", "speakers.npz"
FRAME_RATE = 12.5
"""Codec frames a second."""
CODEBOOKS = 16
_PREFIX = "of/"

Codes = NDArray[np.int16]
Embedding = NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """An utterance to learn from, or to judge by."""

    id: str
    """The name of its codes; unique in the data set."""
    audio: str
    """The path of its audio, 24 kHz mono; relative to the data set's folder, or absolute."""
    text: str
    """The words as they are spoken, with punctuation, without white space at the ends."""
    speaker: str
    """The voice's name in lower case."""
    language: str = "auto"
    """The checkpoint's name of the language or the dialect in lower case (`korean`, `sichuan_dialect`), or `auto`."""
    instruct: str = ""
    """How the clip is spoken; empty without an instruction. Only a 1.7B CustomVoice start follows it."""
    held_out: bool = False
    """True for clips that are only judged by."""


@dataclass(frozen=True)
class Dataset:
    """The content of a data set's folder."""

    folder: Path
    clips: Sequence[Clip]
    codes: Mapping[str, Codes]
    """Codes (frames, 16) of each clip."""
    speakers: Mapping[str, Embedding]
    """The embedding (hidden,) of each speaker, in the order in which they get their rows."""

    @classmethod
    def read(cls, folder: Path) -> Dataset:
        """Read a folder that `write` wrote; raises `FineTuningError` for missing or contradicting files."""
        try:
            lines = (folder / CLIPS).read_text(encoding="utf-8").split("\n")
            clips = [_clip(json.loads(line)) for line in lines if line.strip()]
            made = cls(folder, clips, _load(folder / CODES), _load(folder / SPEAKERS))
        except FileNotFoundError as error:
            raise FineTuningError(f"{error.filename} is missing: prepare the data set again") from None
        except (ValueError, TypeError) as error:
            raise FineTuningError(f"{folder} is not a data set ({error}): prepare it again") from None
        made.check()
        return made

    def write(self) -> None:
        """Write the folder's files; each replaces its former one only when it is complete."""
        self.check()
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(asdict(clip), ensure_ascii=False) + "\n" for clip in self.clips)
        write_text(self.folder / CLIPS, lines)
        for name, arrays in ((CODES, self.codes), (SPEAKERS, self.speakers)):
            _save(self.folder / name, arrays)

    def check(self) -> None:
        """Raise `FineTuningError` for the first clip that cannot be learned from."""
        ids = [clip.id for clip in self.clips]
        if len(set(ids)) < len(ids):
            raise FineTuningError(f"clip {next(i for i in ids if ids.count(i) > 1)} is in the data set twice")
        for clip in self.clips:
            codes = self.codes.get(clip.id)
            if codes is None or codes.ndim != 2 or codes.shape[1] != CODEBOOKS or not len(codes):
                raise FineTuningError(f"clip {clip.id} has no codes (frames, {CODEBOOKS}): encode the data set again")
            if not clip.text.strip():
                raise FineTuningError(f"clip {clip.id} has no text")
            if clip.speaker not in self.speakers:
                raise FineTuningError(f"clip {clip.id} is of speaker {clip.speaker!r}, who has no embedding")
            if clip.speaker != clip.speaker.lower():
                raise FineTuningError(f"speaker {clip.speaker!r}: write the name in lower case")
        if not self.training:
            raise FineTuningError(f"{self.folder} has no clip to train on: all are held out")

    @property
    def training(self) -> Sequence[Clip]:
        """The clips to train on."""
        return [clip for clip in self.clips if not clip.held_out]

    @property
    def held_out(self) -> Sequence[Clip]:
        """The clips to judge by."""
        return [clip for clip in self.clips if clip.held_out]

    def frames(self, clips: Iterable[Clip]) -> int:
        """Return the number of codec frames in `clips`."""
        return sum(len(self.codes[clip.id]) for clip in clips)

    def hash(self) -> str:
        """Return a hash of all that training sees: texts, codes and speakers."""
        made = hashlib.sha256()
        for clip in self.clips:
            made.update(json.dumps({**asdict(clip), "audio": ""}, sort_keys=True).encode())
            made.update(np.ascontiguousarray(self.codes[clip.id], np.int16).tobytes())
        for name, embedding in self.speakers.items():
            made.update(name.encode() + np.ascontiguousarray(embedding, np.float32).tobytes())
        return made.hexdigest()


def _clip(line: Mapping[str, Any]) -> Clip:
    known = {field.name for field in fields(Clip)}
    if unknown := set(line) - known:
        raise ValueError(f"unknown field {min(unknown)!r}")
    return Clip(**line)


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with writing_whole(path) as file:  # the prefix keeps names apart from the function's own arguments
        np.savez(file, **{f"{_PREFIX}{name}": array for name, array in arrays.items()})


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as arrays:
        return {name.removeprefix(_PREFIX): array for name, array in arrays.items()}
