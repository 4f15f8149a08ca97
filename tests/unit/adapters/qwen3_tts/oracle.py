"""The package's own generation, and ours for the same cases, on one checkpoint with random weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adapters.inflight.noise import GumbelNoise, noise_key
from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.inflight.model.prompt import Prompt, PromptBuilder
from adapters.qwen3_tts.inflight.model.prompt_prefix import SharedPrompt
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.package import VoiceClonePromptItem
from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.stock.package_model import PackageModel

SHORT = "Slowly."
LONG = "The harbour was quiet, and the last ferry had left an hour before. Who would have thought that?"
GREEDY = SamplingParams(do_sample=False, subtalker_dosample=False)


@dataclass(frozen=True)
class Case:
    """The input of a synthesis, and its checkpoint."""

    checkpoint: str
    text: str
    language: str = "auto"
    speaker: str = ""
    instruct: str = ""
    reference_text: str | None = None
    """The words of the reference, or empty for a clone from the speaker embedding; None without a reference."""


CASES: Mapping[str, Case] = {
    "preset voice": Case("0.6B-CustomVoice", "Please speak slowly.", "english", "vivian"),
    "dialect by speaker": Case("0.6B-CustomVoice", "明天早上我们去图书馆看书。", "auto", "dylan"),
    "preset voice, instructed": Case("1.7B-CustomVoice", LONG, "german", "ryan", "In a warm voice."),
    "dialect for Chinese": Case("1.7B-CustomVoice", "明天早上", "chinese", "eric"),
    "no dialect for another language": Case("1.7B-CustomVoice", "Who would have thought?", "english", "eric"),
    "marks in the text": Case("1.7B-CustomVoice", "An <|im_end|> is text.", "auto", "serena", "<tts_pad> too"),
    "designed voice": Case("1.7B-VoiceDesign", "Morgen früh.", "german", instruct="A calm, low voice."),
    "designed voice, language unknown": Case("1.7B-VoiceDesign", LONG, instruct="A friendly voice."),
    "voice in context, shorter text": Case("0.6B-Base", SHORT, "english", reference_text="The ferry."),
    "voice in context, longer text": Case("0.6B-Base", LONG, "auto", reference_text=LONG),
    "speaker embedding": Case("0.6B-Base", "Demain, il fera beau.", "french", reference_text=""),
    "large, in context, shorter text": Case("1.7B-Base", SHORT, "auto", reference_text="A ferry."),
    "large, in context, longer text": Case("1.7B-Base", LONG, "chinese", reference_text=LONG),
    "large, speaker embedding": Case("1.7B-Base", LONG, "auto", reference_text=""),
}
"""Every mode and both sizes; Auto, languages and dialects; references longer and shorter than the text."""
LARGE = CASES["large, speaker embedding"]


@dataclass(frozen=True)
class _Cloned:
    x_vector: Tensor
    codes: Tensor | None
    text: str
    shared: SharedPrompt = field(default_factory=SharedPrompt)


class _Caught(Exception):
    """Raised instead of a generation."""


class Oracle:
    """A checkpoint, loaded by the package and by us."""

    def __init__(self, folder: Path, dtype: str = "float32") -> None:
        self.stock = PackageModel.load(Checkpoint.read(folder), Runtime("cpu", dtype, "sdpa"))
        self.weights = Weights.load(folder, dtype=getattr(torch, dtype))
        self._prompts = PromptBuilder(self.weights)
        self._mode = Checkpoint.read(folder).mode

    @classmethod
    def of(cls, model_dir: Path, checkpoint: str) -> Oracle:
        """Return the oracle of a checkpoint below `model_dir`, loaded once."""
        return _loaded(model_dir / f"Qwen3-TTS-12Hz-{checkpoint}")

    def package_codes(self, case: Case, *, streaming_text: bool, **arguments: Any) -> Tensor:
        """Return the package's codes (frames, 16). `arguments` of its methods; greedy by default."""
        caught: list[Tensor] = []

        def decode(cases: Sequence[Mapping[str, Tensor]]) -> tuple[list[Any], int]:
            caught.extend(case["audio_codes"] for case in cases)
            return [np.zeros(1)], 24_000

        with _replaced(self.stock.model.speech_tokenizer, "decode", decode):
            self._speak(case, streaming_text, {"do_sample": False, "subtalker_dosample": False} | arguments)
        item = self._item(case)
        return caught[0][0 if item is None or item.ref_code is None else len(item.ref_code) :]

    def package_prompt(self, case: Case, *, streaming_text: bool) -> Prompt:
        """Return the package's prompt."""
        caught: dict[str, Tensor] = {}

        def generate(**arguments: Any) -> None:
            caught.update(arguments)
            raise _Caught

        with _replaced(self.stock.model.talker, "generate", generate), suppress(_Caught):
            self._speak(case, streaming_text, {})
        return Prompt(caught["inputs_embeds"][0], caught["trailing_text_hidden"][0])

    def prompt(self, case: Case, *, streaming_text: bool = False, shared: SharedPrompt | None = None) -> Prompt:
        """Return our prompt. `shared`: of the voice, if other prompts have it too."""
        item = self._item(case)
        return self._prompts.build(
            case.text,
            language=case.language,
            speaker=case.speaker,
            instruct=case.instruct,
            voice=item
            and _Cloned(item.ref_spk_embedding, item.ref_code, item.ref_text or "", shared or SharedPrompt()),
            streaming_text=streaming_text,
        )

    def codes(self, prompt: Prompt, sampling: SamplingParams = GREEDY, *, frames: int) -> Tensor:
        """Return our codes (frames, 16), see `codes_of`."""
        return codes_of(self.weights, prompt, sampling, frames=frames)

    def _speak(self, case: Case, streaming_text: bool, arguments: dict[str, Any]) -> None:
        arguments |= {"text": case.text, "language": case.language}
        arguments["non_streaming_mode"] = not streaming_text
        if self._mode == "voice_clone":
            self.stock.generate_voice_clone(**arguments, voice_clone_prompt=[self._item(case)])
        elif self._mode == "voice_design":
            self.stock.generate_voice_design(**arguments, instruct=case.instruct)
        else:
            speaker = {"speaker": case.speaker, "instruct": case.instruct or None}
            self.stock.generate_custom_voice(**arguments, **speaker)

    def _item(self, case: Case) -> VoiceClonePromptItem | None:
        if case.reference_text is None:
            return None
        time = np.arange(48_000) / 24_000
        samples = sum(np.sin(2 * np.pi * 140 * n * time) / n for n in range(1, 9)).astype(np.float32) * 0.1
        (item,) = self.stock.create_voice_clone_prompt(
            ref_audio=[(samples, 24_000)],
            ref_text=[case.reference_text or None],
            x_vector_only_mode=[not case.reference_text],
        )
        return item


class SharedNoise:
    """Replaces `torch.multinomial` while the package generates: it draws with our noise, in the package's order."""

    def __init__(self, weights: Weights, sampling: SamplingParams) -> None:
        codes, books = len(weights.predictor_heads[0]), len(weights.predictor_heads)
        self._split = books * codes
        self._noise = GumbelNoise(self._split + len(weights.codec_head), torch.device("cpu"))
        self._key = torch.tensor([noise_key(sampling.seed)])
        self._drawn = ([0] if sampling.do_sample else []) + (list(range(1, books + 1)) * sampling.subtalker_dosample)
        self._codes = codes
        self._draws = 0

    def __call__(self, probabilities: Tensor, num_samples: int) -> Tensor:
        """Draw (1, 1) from (1, vocabulary), for the sampled codebooks of every frame in their order."""
        assert num_samples == 1
        frame, index = divmod(self._draws, len(self._drawn))
        self._draws += 1
        book = self._drawn[index]
        numbers = self._noise.gumbel(self._key, torch.tensor([frame - (book == 0)]))[0]
        begin = (book - 1) * self._codes if book else self._split
        return (probabilities.log() + numbers[begin : begin + probabilities.shape[1]]).argmax(-1, keepdim=True)


def codes_of(weights: Weights, prompt: Prompt, sampling: SamplingParams, *, frames: int) -> Tensor:
    """Return our codes (frames, 16) of a stream alone in a stepper, to its end or until there are `frames`."""
    stepper = FrameStepper(weights, slots=1, positions=len(prompt.embeddings) + frames)
    stepper.start(0, prompt, sampling)
    return torch.stack([*step_solo(stepper, 0, frames), torch.zeros(16, dtype=torch.int64)])[:-1]


def step_solo(stepper: FrameStepper, slot: int, frames: int) -> Iterator[Tensor]:
    """Yield the frames (16,) of one slot, to its end or until there are `frames`."""
    for _ in range(frames):
        step = stepper.step([slot])
        if step.ended[0]:
            break
        yield step.codes[0].clone()


@cache
def _loaded(folder: Path) -> Oracle:
    return Oracle(folder)


@contextmanager
def _replaced(of: Any, name: str, value: Any) -> Iterator[None]:
    original = getattr(of, name)
    setattr(of, name, value)
    try:
        yield
    finally:
        setattr(of, name, original)
