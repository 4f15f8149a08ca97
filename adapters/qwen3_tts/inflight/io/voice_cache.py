"""Cloned voices: encoded once from a reference, and cached as long as it is known."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.inflight.cuda_streams import hold_for_stream, synchronize_stream
from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.state import CodecState
from adapters.qwen3_tts.inflight.model.prompt_prefix import SharedPrompt
from adapters.triton.references import Reference

if TYPE_CHECKING:
    from adapters.qwen3_tts.encoders import Encoders


@dataclass(frozen=True, eq=False)
class ClonedVoice:
    """A voice that was encoded from a reference."""

    x_vector: Tensor
    """The speaker embedding, (hidden,)."""
    codes: Tensor | None = None
    """The reference's codes (frames, 16) int64; None: clone from the speaker embedding alone."""
    text: str = ""
    """The words of the reference; empty where `codes` is None."""
    codec_state: CodecState | None = None
    """The codec's state after `codes`, from which the audio continues; None where `codes` is None."""
    shared: SharedPrompt = field(default_factory=SharedPrompt)
    """The shared beginning of the prompts, with its keys and values."""

    @property
    def nbytes(self) -> int:
        """The memory of the tensors."""
        parts = (self.x_vector, self.codes, self.codec_state, self.shared)
        return sum(int(part.nbytes) for part in parts if part is not None)

    def held_for_stream(self) -> ClonedVoice:
        """Return the voice, marked as used by the current stream.

        If the cache evicts the voice, its memory is not reused before that stream has read it.
        """
        hold_for_stream(self.x_vector, self.codes)
        return self


class VoiceEncoder:
    """Encodes voices with the package's own encoders, one at a time: this is not the hot path."""

    def __init__(self, encoders: Encoders, decoder: CodecDecoder) -> None:
        """`decoder`: the codec's, on the device of the encoders."""
        self._encoders = encoders
        self._decoder = decoder
        self._lock = threading.Lock()

    def encode(self, ref_audio: NDArray[np.float32], ref_text: str, x_vector_only: bool) -> ClonedVoice:
        """Encode mono samples (n,) at 24 kHz with the words `ref_text`. Thread-safe."""
        with self._lock, torch.no_grad():
            samples = torch.tensor(ref_audio)
            voice = ClonedVoice(self._encoders.x_vector(samples))
            if not x_vector_only:
                codes = self._encoders.codes(samples)
                voice = replace(voice, codes=codes, text=ref_text, codec_state=self._decoder.state_after(codes))
            synchronize_stream(self._decoder.device)
            return voice


class VoiceEncoding(Protocol):
    """Encodes voices."""

    def encode(self, ref_audio: NDArray[np.float32], ref_text: str, x_vector_only: bool) -> ClonedVoice:
        """See `VoiceEncoder`."""


class VoiceCache:
    """The voices that were used last, up to `max_bytes`. A voice ends with its reference. Thread-safe."""

    def __init__(self, encoder: VoiceEncoding, *, max_bytes: int) -> None:
        self._encoder = encoder
        self._max_bytes = max_bytes
        self._voices: WeakKeyDictionary[Reference, Future[ClonedVoice]] = WeakKeyDictionary()
        """The least recently used comes first."""
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """The bytes in the cache. Encodings in progress hold no memory yet."""
        return sum(voice.result().nbytes for voice in self._voices.values() if _is_encoded(voice))

    def find(self, reference: Reference) -> ClonedVoice | None:
        """Return a cached voice, or None."""
        with self._lock:
            voice = self._voices.get(reference)
            if voice is None or not _is_encoded(voice):
                return None
            self._touch(reference, voice)
            return voice.result().held_for_stream()

    def get(self, reference: Reference) -> ClonedVoice:
        """Return a voice, and encode it if it is not cached; raises the encoder's errors.

        Waits for an encoding of the same voice that is in progress.
        """
        with self._lock:
            voice = self._voices.get(reference)
            if is_new := voice is None:
                voice = Future()
            self._touch(reference, voice)
        if is_new:
            self._encode(reference, voice)
        return voice.result().held_for_stream()

    def _touch(self, reference: Reference, voice: Future[ClonedVoice]) -> None:
        """Make a voice the one that was used last. What it has grown by since then may evict others."""
        self._voices.pop(reference, None)
        self._voices[reference] = voice
        self._evict(keep=reference)

    def _encode(self, reference: Reference, voice: Future[ClonedVoice]) -> None:
        try:
            encoded = self._encoder.encode(reference.samples, reference.text.strip(), reference.x_vector_only)
        except BaseException as error:
            with self._lock:
                self._voices.pop(reference, None)  # a later request may try again
                voice.set_exception(error)
        else:
            with self._lock:
                voice.set_result(encoded)
                self._evict(keep=reference)

    def _evict(self, keep: Reference) -> None:
        """Evict the least recently used voices; of the voice to `keep`, first the prefixes of its prompts."""
        for reference, voice in [*self._voices.items()]:
            if self.nbytes <= self._max_bytes:
                return
            if not _is_encoded(voice):
                continue
            if reference is keep:
                voice.result().shared.drop_prefixes()
                if self.nbytes <= self._max_bytes:
                    return
            del self._voices[reference]


def _is_encoded(voice: Future[ClonedVoice]) -> bool:
    return voice.done() and voice.exception() is None
