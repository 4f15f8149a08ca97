"""The judgement of a state of the weights: held-out losses, and ears for what it speaks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from finetuning.dataset import Clip, Dataset
from finetuning.errors import FineTuningError
from finetuning.events import Judged, Losses, Scores
from finetuning.plan import Precision
from finetuning.training.batches import pack_by_rows
from finetuning.training.rows import rows_of
from finetuning.training.speaking import Reference, Sentence, Spoken, speak
from finetuning.training.start import Start
from finetuning.training.stepper import mean_losses

if TYPE_CHECKING:
    from finetuning.training.api import Judge

SAMPLE_RATE = 24_000
_SENTENCES = 8
_REFERENCE_FRAMES = (38, 188, 100)
"""The shortest, the longest and the best length of a clip to clone from: 3 to 15 s, 8 s."""
_LONGEST_ROWS = 2_000


class Evaluation:
    """Judges states of one start's weights by one data set."""

    def __init__(
        self,
        dataset: Dataset,
        start: Start,
        device: torch.device,
        judge: Judge | None,
        *,
        precision: Precision,
        sentences: Sequence[str] = (),
        warn: Callable[[str], None],
    ) -> None:
        """`sentences`: texts to speak; empty: those of the first held-out clips. `warn` is told why none is judged."""
        self._warn = warn
        self._dataset, self._start, self._device, self._judge = dataset, start, device, judge
        self._precision: Precision = precision
        self._sentences = _to_speak(dataset, sentences)

    def losses(self, talker: Any) -> Losses | None:
        """Return the losses over the held-out clips, with their language and the whole text; None without any."""
        made = [rows_of(clip, self._dataset.codes[clip.id], self._start) for clip in self._dataset.held_out]
        groups = pack_by_rows(made, _LONGEST_ROWS)
        end = self._start.talker_config["codec_eos_token_id"]
        return mean_losses(talker, groups, end, self._precision) if made else None

    def listen(self, folder: Path, out: Path) -> Judged | None:
        """Speak the sentences with a checkpoint, write them into `out`, and judge them; None without any."""
        spoken = speak(folder, self._sentences, self._device) if self._sentences else []
        return self._judged(spoken, out)

    def cloning(self, out: Path) -> Scores | None:
        """Judge plain cloning by the start, the first line to beat; None if the start is no Base checkpoint."""
        config = json.loads((self._start.folder / "config.json").read_text(encoding="utf-8"))
        if config["tts_model_type"] != "base" or not self._sentences:
            return None
        references = [self._reference(sentence) for sentence in self._sentences]
        plain = [replace(sentence, instruct="") for sentence in self._sentences]
        spoken = speak(self._start.folder, plain, self._device, references=references)
        return Scores("cloning", 0, 0.0, None, self._judged(spoken, out))

    def _reference(self, sentence: Sentence) -> Reference:
        """Return the speaker's training clip whose length suits cloning best."""
        shortest, longest, best = _REFERENCE_FRAMES
        frames = {
            clip: len(self._dataset.codes[clip.id])
            for clip in self._dataset.training
            if clip.speaker == sentence.speaker
        }
        fit = {clip: n for clip, n in frames.items() if shortest <= n <= longest} or frames
        clip = min(fit, key=lambda clip: abs(fit[clip] - best))
        x_vector = torch.from_numpy(self._dataset.speakers[clip.speaker])
        codes = torch.from_numpy(self._dataset.codes[clip.id].astype(np.int64))
        return Reference(x_vector.to(self._device), codes.to(self._device), clip.text)

    def _judged(self, spoken: Sequence[Spoken], out: Path) -> Judged | None:
        if not spoken:
            return None
        out.mkdir(parents=True, exist_ok=True)
        for i, one in enumerate(spoken):
            soundfile.write(out / f"{i}.wav", one.audio, SAMPLE_RATE)
        made = [(sentence, one) for sentence, one in zip(self._sentences, spoken, strict=True) if len(one.audio)]
        similarity = error_rate = None
        if self._judge is not None and made:
            try:
                similarity = self._similarity(self._judge, made)
                error_rate = self._error_rate(self._judge, made)
            except FineTuningError as error:  # hours of training are worth more
                self._warn(str(error))
        return Judged(
            sentences=len(spoken),
            similarity=similarity,
            character_error_rate=error_rate,
            pace=self._pace(spoken),
            ended=sum(one.ended for one in spoken) / len(spoken),
        )

    def _pace(self, spoken: Sequence[Spoken]) -> float:
        data = self._dataset.training
        usual = self._dataset.frames(data) / sum(len(clip.text) for clip in data)
        return sum(one.frames for one in spoken) / sum(len(sentence.text) for sentence in self._sentences) / usual

    def _error_rate(self, judge: Judge, made: Sequence[tuple[Sentence, Spoken]]) -> float:
        errors = characters = 0
        for sentence, one in made:
            (text,) = judge.transcribe([one.audio], sentence.language)
            wrong, length = judge.character_errors(text, sentence.text)
            errors, characters = errors + wrong, characters + length
        return errors / max(1, characters)

    def _similarity(self, judge: Judge, made: Sequence[tuple[Sentence, Spoken]]) -> float | None:
        """Return the mean cosine with the centre of the speaker's held-out clips, or of all of them without any."""
        cosines = []
        for speaker in {sentence.speaker for sentence, _ in made}:
            clips = [clip for clip in self._dataset.held_out if clip.speaker == speaker]
            clips = clips or [clip for clip in self._dataset.training if clip.speaker == speaker]
            audio = [samples for clip in clips[:_SENTENCES] if (samples := self._audio(clip)) is not None]
            if not audio:
                return None
            centre = judge.embed(audio).mean(0)
            said = judge.embed([one.audio for sentence, one in made if sentence.speaker == speaker])
            cosines += (said @ (centre / np.linalg.norm(centre))).tolist()
        return float(np.mean(cosines))

    def _audio(self, clip: Clip) -> NDArray[np.float32] | None:
        path = self._dataset.folder / clip.audio
        if not clip.audio or not path.is_file():
            return None
        samples, rate = soundfile.read(path, dtype="float32")
        return samples if rate == SAMPLE_RATE and samples.ndim == 1 else None


def _to_speak(dataset: Dataset, texts: Sequence[str]) -> list[Sentence]:
    if texts:
        first = {clip.speaker: clip for clip in reversed(dataset.training)}
        return [Sentence(text, name, clip.language) for name, clip in first.items() for text in texts]
    return [Sentence(c.text, c.speaker, c.language, c.instruct) for c in dataset.held_out[:_SENTENCES]]
