"""The recordings that models clone. A model gets each once, and later its key alone.

The key is the hash of the content, so neither models nor servers can mix two voices up: see `tritone.voice_key`. A
model that does not hold the voice (a new instance, a restart, eviction) says so before it does anything, and gets the
request again with the recording.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace

from gateway.audio.frames import Pcm
from gateway.audio.ref_audio import decode_ref_audio
from gateway.audio.ref_audio_source import read_ref_audio
from gateway.core.errors import DeadlineExceeded, VoiceNotHeld
from gateway.core.known_voices import KnownVoices
from gateway.core.services import Services
from gateway.core.wire import Tensors
from gateway.core.workers import run_in
from tritone.contract import SpeechOptions
from tritone.options import Value
from tritone.voice_key import audio_digest, voice_key

Send = Callable[[Tensors, Mapping[str, Value], float], AsyncGenerator[Tensors]]
"""Calls a model: further inputs, further parameters, seconds -> its responses."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """A recording to clone, and its words."""

    key: str
    """Its `voice_key`."""
    options: Mapping[str, Value]
    """`ref_text` and `x_vector_only`, as they are sent with the recording."""
    load: Callable[[], Awaitable[Pcm]]
    """Returns the samples, mono at `SPEECH_RATE`; called only for a model that does not hold the voice."""
    is_new: bool = False
    """True if no model can hold it yet, as far as is known: it is sent with the first try."""


async def reference_of(services: Services, ref_audio: str | Pcm, options: SpeechOptions) -> Reference:
    """Return the reference of a request, with its words in `options`: samples, or a text as in `read_ref_audio`.

    A recording that came before is not decoded again. Raises `InvalidInput`.
    """
    threads, known = services.workers.voices, services.known_voices
    if not isinstance(ref_audio, str):
        return reference_to(ref_audio, await run_in(threads, audio_digest, ref_audio), options)
    file = await read_ref_audio(ref_audio, services.settings, threads)
    file_digest = await run_in(threads, lambda: hashlib.sha256(file).digest())
    digest = known.digest(file_digest)
    if digest is None:
        samples = await run_in(threads, decode_ref_audio, file)
        digest = await run_in(threads, audio_digest, samples)
        known.add(file_digest, digest)
        return replace(reference_to(samples, digest, options), is_new=True)

    return reference_to(lambda: run_in(threads, decode_ref_audio, file), digest, options)


def reference_to(samples: Pcm | Callable[[], Awaitable[Pcm]], digest: bytes, options: SpeechOptions) -> Reference:
    """Return the reference to a recording with this `audio_digest`, and with its words in `options`.

    `samples` may be a function that loads them: it is called only if they must be sent.
    """

    async def load() -> Pcm:
        return await samples() if callable(samples) else samples

    key = voice_key(digest, options.ref_text, x_vector_only=options.x_vector_only)
    words = SpeechOptions(ref_text=options.ref_text, x_vector_only=options.x_vector_only).to_parameters()
    return Reference(key, words, load)


async def clone(
    known: KnownVoices, send: Send, reference: Reference, seconds: float, *, by_key: bool
) -> AsyncGenerator[Tensors]:
    """Yield the responses of a model to a request with `reference`, within `seconds`; raises what `send` raises.

    `by_key`: the model supports `voice_key`.
    """
    deadline = time.monotonic() + seconds
    named: Mapping[str, Value] = {"voice_key": reference.key} if by_key else {}
    if named and not reference.is_new and not known.carries_recording(reference.key):
        try:
            async with aclosing(send({}, named, seconds)) as responses:
                async for tensors in responses:
                    yield tensors
            return
        except VoiceNotHeld as error:
            logger.debug("the recording is sent: %s", error.detail)
            known.missed(reference.key)
    inputs: Tensors = {"ref_audio": await reference.load()}
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded("the recording of the voice could not be sent in time")
    async with aclosing(send(inputs, {**named, **reference.options}, left)) as responses:
        async for tensors in responses:
            yield tensors


async def forget_voice(services: Services, key: str) -> bool:
    """Have every instance of every server forget a voice that was deleted: none uses it for requests from now on.

    Returns False if a server could not be told. It then forgets the voice when VOICE_KEY_SECONDS have passed since it
    was last sent there, or when it ends.
    """
    failed = await services.triton.forget_voice(key)
    for address, error in failed.items():
        logger.warning("triton %s could not be told to forget a voice: %s", address, error)
    return not failed
