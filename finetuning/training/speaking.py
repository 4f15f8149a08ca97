"""Sentences spoken by a checkpoint, with the in-flight engine's own steps: all sentences at once, each with a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.inflight.cuda_streams import disable_cudnn_attention
from adapters.qwen3_tts.frames import runaway_limit
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.state import StateArena
from adapters.qwen3_tts.inflight.device.graphs import Graphs
from adapters.qwen3_tts.inflight.model.prompt import Prompt, PromptBuilder
from adapters.qwen3_tts.inflight.model.prompt_prefix import SharedPrompt
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from tritone.contract import SpeechOptions


@dataclass(frozen=True, eq=False)
class Reference:
    """A voice to clone: a `VoicePrompt`."""

    x_vector: Tensor
    codes: Tensor
    text: str
    shared: SharedPrompt = field(default_factory=SharedPrompt)


@dataclass(frozen=True)
class Sentence:
    """A text to speak."""

    text: str
    speaker: str
    """A name of the checkpoint; with a reference, the speaker that the reference is of."""
    language: str = "auto"
    instruct: str = ""


@dataclass(frozen=True, eq=False)
class Spoken:
    """The outcome of a sentence."""

    audio: NDArray[np.float32]
    """Samples (n,) at 24 kHz."""
    frames: int
    ended: bool
    """True if the checkpoint ended it, False if it had to be cut."""


def speak(
    folder: Path,
    sentences: Sequence[Sentence],
    device: torch.device,
    *,
    references: Sequence[Reference] | None = None,
    greedy: bool = False,
) -> list[Spoken]:
    """Speak each sentence with the checkpoint's own sampling and the seed of its place in the list.

    `references`: the voice to clone for each sentence. `greedy`: always take the best code.
    """
    disable_cudnn_attention(device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    weights = Weights.load(folder, str(device), dtype)
    decoder, prompts = CodecDecoder.load(weights), PromptBuilder(weights)
    built = [
        prompts.build(
            sentence.text,
            language=sentence.language,
            speaker="" if references else sentence.speaker,
            instruct=sentence.instruct,
            voice=references[i] if references else None,
        )
        for i, sentence in enumerate(sentences)
    ]
    limits = [runaway_limit(prompts.count_tokens(sentence.text)) for sentence in sentences]
    if greedy:
        samplings = [SamplingParams(do_sample=False, subtalker_dosample=False, repetition_penalty=1.0)] * len(built)
    else:
        samplings = [
            SamplingParams.from_options(weights.generation, SpeechOptions(), seed=i) for i in range(len(built))
        ]
    spoken = []
    for i, codes in enumerate(_codes(weights, built, samplings, limits)):
        audio = _audio(decoder, codes, references[i] if references else None)
        spoken.append(Spoken(audio, len(codes), len(codes) < limits[i]))
    return spoken


def _codes(
    weights: Weights, prompts: Sequence[Prompt], samplings: Sequence[SamplingParams], limits: Sequence[int]
) -> list[Tensor]:
    """Return the codes (frames, 16) of each prompt, to its end or its limit."""
    positions = max(len(prompt.embeddings) + limit for prompt, limit in zip(prompts, limits, strict=True)) + 1
    graphs = Graphs(weights.device, enabled=False)
    stepper = FrameStepper(weights, slots=len(prompts), positions=positions, graphs=graphs)
    for slot, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True)):
        stepper.start(slot, prompt, sampling)
    made: list[list[Tensor]] = [[] for _ in prompts]
    running = list(range(len(prompts)))
    while running:
        frames = stepper.step(running)
        codes, ended = frames.codes.cpu(), frames.ended.tolist()
        for row, slot in enumerate(running):
            if not ended[row]:
                made[slot].append(codes[row].clone())
        running = [slot for row, slot in enumerate(running) if not ended[row] and len(made[slot]) < limits[slot]]
    return [torch.stack([*frames, torch.zeros(16, dtype=torch.int64)])[:-1] for frames in made]


def _audio(decoder: CodecDecoder, codes: Tensor, reference: Reference | None) -> NDArray[np.float32]:
    if not len(codes):
        return np.zeros(0, np.float32)
    arena = StateArena(decoder.layout, 1, device=decoder.device, dtype=decoder.dtype)
    if reference is not None:
        with torch.inference_mode():
            arena.restore(0, decoder.state_after(reference.codes.to(decoder.device)))
    slot = torch.zeros(1, dtype=torch.int64, device=decoder.device)
    with torch.inference_mode():
        samples = decoder.decode(arena, slot, codes[None].to(decoder.device))[0]
    audio: NDArray[np.float32] = samples.float().cpu().numpy()
    return audio
