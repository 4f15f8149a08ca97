"""Cloned voices: what a recording comes to, computed once and kept for whoever sends it again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.qwen3_tts.inflight.codec import CodecDecoder
from adapters.qwen3_tts.inflight.codec_state import CodecState
from adapters.qwen3_tts.inflight.cuda import complete
from adapters.qwen3_tts.inflight.weights import Weights
from adapters.qwen3_tts.package import core
from tritone.contract import SPEECH_RATE


@dataclass(frozen=True, eq=False)
class ClonedVoice:
    """A voice that was taken from a recording."""

    x_vector: Tensor
    """Its colour, (hidden,)."""
    codes: Tensor | None = None
    """The recording's codes (frames, 16) int64; None: its colour alone is taken."""
    text: str = ""
    """The words of the recording; empty where `codes` is None."""
    codec_state: CodecState | None = None
    """Where a codec stands that has decoded `codes`: what is spoken goes on from there. None with them."""

    @property
    def nbytes(self) -> int:
        """The memory that it holds."""
        parts = (self.x_vector, self.codes, self.codec_state)
        return sum(int(part.nbytes) for part in parts if part is not None)

    def in_use(self) -> ClonedVoice:
        """The same. The current stream reads it: who forgets it meanwhile must not give its memory away before that."""
        for tensor in (self.x_vector, self.codes):
            if tensor is not None and tensor.is_cuda:
                tensor.record_stream(torch.cuda.current_stream(tensor.device))
        return self


class VoiceEncoder:
    """Takes voices from recordings, with the package's own encoders. One at a time: it is not the hot path."""

    def __init__(self, weights: Weights, decoder: CodecDecoder) -> None:
        """`weights` are of a checkpoint that clones voices."""
        self._weights = weights
        self._decoder = decoder
        self._lock = threading.Lock()

    def encode(self, ref_audio: NDArray[np.float32], ref_text: str, x_vector_only: bool) -> ClonedVoice:
        """The voice of mono samples (n,) at 24 kHz, in which `ref_text` is said. May be called from any thread."""
        with self._lock, torch.no_grad():
            samples = torch.tensor(ref_audio)[None]
            voice = ClonedVoice(self._x_vector(samples))
            if not x_vector_only:
                codes = self._codes(samples)
                voice = replace(voice, codes=codes, text=ref_text, codec_state=self._decoder.state_after(codes))
            complete(self._weights.device)
            return voice

    def _x_vector(self, samples: Tensor) -> Tensor:
        mels = core.models.modeling_qwen3_tts.mel_spectrogram(
            samples,
            n_fft=1024,
            num_mels=128,
            sampling_rate=SPEECH_RATE,
            hop_size=256,
            win_size=1024,
            fmin=0,
            fmax=12000,
        )
        return self._weights.speaker_encoder(mels.transpose(1, 2).to(self._weights.device, self._weights.dtype))[0]

    def _codes(self, samples: Tensor) -> Tensor:
        samples = samples.to(self._weights.device)
        (codes,) = self._weights.speech_tokenizer.encode(
            samples, torch.ones_like(samples, dtype=torch.int64)
        ).audio_codes
        return codes


class Encoder(Protocol):
    """Takes voices from recordings."""

    def encode(self, ref_audio: NDArray[np.float32], ref_text: str, x_vector_only: bool) -> ClonedVoice:
        """See `VoiceEncoder`."""


class VoiceCache:
    """The voices of the recordings that were used last, up to `max_bytes`. May be used from any thread."""

    def __init__(self, encoder: Encoder, *, max_bytes: int) -> None:
        self._encoder = encoder
        self._max_bytes = max_bytes
        self._voices: OrderedDict[bytes, Future[ClonedVoice]] = OrderedDict()  # the last used is last
        self._lock = threading.Lock()
        self.nbytes = 0
        """What is held at present."""

    def find(self, ref_audio: NDArray[np.float32], ref_text: str, x_vector_only: bool) -> ClonedVoice | None:
        """The voice of a recording, where it is held."""
        key = _key(ref_audio, ref_text, x_vector_only)
        with self._lock:
            voice = self._voices.get(key)
            if voice is None or not voice.done():
                return None
            self._voices.move_to_end(key)
            return voice.result().in_use()

    def get(self, ref_audio: NDArray[np.float32], ref_text: str, x_vector_only: bool) -> ClonedVoice:
        """The voice of a recording; one that is in work is waited for. Raises what the encoder raises."""
        key = _key(ref_audio, ref_text, x_vector_only)
        with self._lock:
            voice = self._voices.get(key)
            if is_new := voice is None:
                voice = self._voices[key] = Future()
            self._voices.move_to_end(key)
        if is_new:
            self._encode(key, voice, ref_audio, "" if x_vector_only else ref_text, x_vector_only)
        return voice.result().in_use()

    def _encode(
        self, key: bytes, voice: Future[ClonedVoice], ref_audio: NDArray[np.float32], text: str, x_vector_only: bool
    ) -> None:
        try:
            encoded = self._encoder.encode(ref_audio, text, x_vector_only)
        except BaseException as error:
            with self._lock:
                del self._voices[key]  # what failed may be tried again
                voice.set_exception(error)
        else:
            with self._lock:
                voice.set_result(encoded)
                self.nbytes += encoded.nbytes
                self._evict()

    def _evict(self) -> None:
        """Forget what was not used for longest; what is still in work holds nothing yet, and stays."""
        for key, voice in [*self._voices.items()]:
            if self.nbytes <= self._max_bytes:
                return
            if voice.done():
                del self._voices[key]
                self.nbytes -= voice.result().nbytes


def _key(ref_audio: NDArray[np.float32], ref_text: str, x_vector_only: bool) -> bytes:
    digest = hashlib.blake2b(b"\1" if x_vector_only else b"\0", digest_size=32)
    digest.update(len(ref_audio).to_bytes(8, "little"))
    digest.update(np.ascontiguousarray(ref_audio, dtype=np.float32).data)
    digest.update(b"" if x_vector_only else ref_text.encode())
    return digest.digest()
