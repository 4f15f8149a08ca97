"""The step `codes`: the clips of the table as the data set that training reads."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from finetuning import clip_table
from finetuning.clip_table import Row
from finetuning.dataset import Clip, Codes, Dataset, Embedding
from finetuning.errors import FineTuningError
from finetuning.holdout import held_out
from finetuning.progress import Progress, duration, say
from finetuning.project import Project
from finetuning.starts import Start, choose
from finetuning.steps.run import run
from finetuning.training.encoder import Encoder
from finetuning.wav import Samples, read_wav
from tritone.languages import code_of
from tritone.whole_file import writing_whole


def codes(project: Project) -> None:
    """Write the project's data set."""
    cuda = torch.cuda.is_available()
    start = choose(project.options, project.model_dir, gpu=cuda)
    rows = clip_table.read(project.table)
    names = language_names(start)
    languages = {row.id: _language(row, names) for row in rows}  # before the work, for its errors
    encoder = Cache(project.folder / "cache", Encoder(start.base, "cuda" if cuda else "cpu"))
    progress = Progress("codes", sum(row.seconds for row in rows))
    found: dict[str, Codes] = {}
    voices: dict[str, Embedding] = {}
    for row in rows:
        found[row.id], voices[row.id], was_cached = encoder.of(read_wav(project.folder / row.audio))
        progress.advance(row.seconds, worked=not was_cached)
    named = {row.ref_audio for row in rows if row.ref_audio}
    references = {name: encoder.of(read_wav(project.folder / name))[1] for name in named}
    aside = held_out(rows, project.options.seed)
    clips = [
        Clip(
            id=row.id,
            audio=str((project.folder / row.audio).resolve()),
            text=" ".join(row.text.split()),
            speaker=row.speaker,
            language=languages[row.id],
            instruct=row.instruct,
            held_out=row.id in aside,
        )
        for row in rows
    ]
    speakers = _speakers(rows, voices, references)
    Dataset(project.dataset, clips, found, speakers).write()
    seconds = sum(row.seconds for row in rows)
    say(f"codes: {len(clips)} clips, {duration(seconds)}, {len(aside)} of them held out; voices: {', '.join(speakers)}")


class Cache:
    """Codes and embeddings by the content of the clip and the networks."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        self._folder = folder
        self._encoder = encoder
        folder.mkdir(exist_ok=True)

    def of(self, samples: Samples) -> tuple[Codes, Embedding, bool]:
        """Return the codes and the embedding of a clip, and whether they were in the cache."""
        key = hashlib.sha256(self._encoder.digest.encode() + samples.tobytes()).hexdigest()
        path = self._folder / f"{key}.npz"
        try:
            with path.open("rb") as file, np.load(file) as kept:
                return kept["codes"], kept["embedding"], True
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            pass  # not there, or half-written by a run that was killed
        made, embedding = self._encoder.codes(samples), self._encoder.embedding(samples)
        with writing_whole(path) as out:
            np.savez(out, codes=made, embedding=embedding)
        return made, embedding, False


def language_names(start: Start) -> dict[str, str]:
    """Return the languages and dialects of a start: code, or the dialect's name -> the checkpoint's name."""
    config = json.loads((start.folder / "config.json").read_text(encoding="utf-8"))
    names = config["talker_config"]["codec_language_id"]
    return {code_of(name) or name: name for name in names}


def _language(row: Row, names: Mapping[str, str]) -> str:
    if not row.language:
        return "auto"
    if row.language not in names:
        known = ", ".join(names)
        raise FineTuningError(
            f"clip {row.id} is in {row.language!r}, which the checkpoint does not speak: choose from {known}, or leave "
            "the language empty"
        )
    return names[row.language]


def _speakers(
    rows: Sequence[Row], voices: Mapping[str, Embedding], references: Mapping[str, Embedding]
) -> dict[str, Embedding]:
    """Return each speaker's embedding.

    It is that of the reference if all clips name one; else the mean of the clips', scaled to their mean length.
    """
    by_speaker: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_speaker[row.speaker].append(row)
    found = {}
    for speaker, group in by_speaker.items():
        if all(row.ref_audio for row in group):
            vectors = [references[name] for name in dict.fromkeys(row.ref_audio for row in group)]
        else:
            vectors = [voices[row.id] for row in group]
        stacked = np.stack(vectors).astype(np.float64)
        mean = stacked.mean(axis=0)
        length = np.linalg.norm(stacked, axis=1).mean()
        found[speaker] = (mean * length / max(float(np.linalg.norm(mean)), 1e-9)).astype(np.float32)
    return found


if __name__ == "__main__":
    sys.exit(run(codes))
