"""The use cases of voices and consents: register, list, read and delete them."""

from __future__ import annotations

import io
import time
import unicodedata
from dataclasses import replace
from typing import Final

from gateway.core.errors import ModelNotFound, VoiceConflict, VoiceNotFound, VoicesUnavailable
from gateway.core.references import forget_voice
from gateway.core.services import Services
from gateway.core.speaker_encoder import ALIKE
from gateway.core.telemetry import WorkTelemetry
from gateway.core.voices.sample import Sample, likeness, read_sample, stored_embedding, to_stored
from gateway.core.voices.voice import (
    MAX_NAME_CHARS,
    Consent,
    Voice,
    VoiceOrder,
    folded,
    is_consent_id,
    is_voice_id,
    new_consent_id,
    new_voice_id,
)
from gateway.core.words import words_of
from gateway.core.workers import run_in
from tritone.descriptions import SpeechDescription
from tritone.errors import InvalidInput

_MAX_CONSENTS: Final = 5
"""Consents of an owner for each voice that it may have."""
_HOW: Final = (
    "send the id of a recording in which the speaker agrees to the use of their voice; `POST /v1/audio/voice_consents` "
    "makes one"
)


async def register_voice(services: Services, order: VoiceOrder, file: bytes, telemetry: WorkTelemetry) -> Voice:
    """Register a voice from a recording in any container.

    Raises `InvalidInput` for `name`, `consent`, `audio_sample` (the recording) and `ref_text` (its words, which the
    served transcription model finds if they are not given), `VoiceConflict`, `VoicesUnavailable`, and the errors of
    `transcribe`.
    """
    store = services.voices
    name = await checked_name(services, order.owner, order.name)
    await _check_consent(services, order)
    sample = await _read(services, file, "audio_sample")
    if order.consent and sample.embedding is not None:
        await _check_speaker(services, order, sample)
    text, language = order.text.strip(), ""
    if not text and not order.x_vector_only:
        text, language = await _transcribed(services, sample, telemetry)
    voice = await store_voice(
        services,
        order.owner,
        Voice(new_voice_id(), name, time.time(), "audio_sample", sample.seconds, text, language, "", order.consent),
        sample,
    )
    if order.consent and await store.consent(order.owner, order.consent) is None:
        await store.remove_voice(order.owner, voice)  # the consent was withdrawn meanwhile
        raise _no_consent(order.consent)
    return voice


async def list_voices(services: Services, owner: str) -> list[Voice]:
    """Return the owner's voices, the oldest first. Raises `VoicesUnavailable`."""
    return await services.voices.voices(owner)


async def get_voice(services: Services, owner: str, name: str) -> Voice:
    """Return the owner's voice with this id or name. Raises `VoiceNotFound` and `VoicesUnavailable`."""
    store = services.voices
    voice = await store.voice(owner, name) if is_voice_id(name) else await store.voice_named(owner, name)
    if voice is None:
        raise VoiceNotFound(f"there is no voice {name[:MAX_NAME_CHARS]!r}; it may have been deleted")
    return voice


async def delete_voice(services: Services, owner: str, name: str) -> Voice:
    """Remove a voice with its recording, its name and what caches hold of it, and return what it was.

    Raises `VoiceNotFound` and `VoicesUnavailable`.
    """
    voice = await get_voice(services, owner, name)
    removed = await services.voices.remove_voice(owner, voice)
    for key in voice.keys:
        await forget_voice(services, key)
    if not removed:
        await get_voice(services, owner, name)
        raise VoicesUnavailable(f"{voice.id} is being changed by another request")
    return voice


async def register_consent(services: Services, owner: str, name: str, language: str, file: bytes) -> Consent:
    """Keep a recording in which a speaker agrees to the use of their voice.

    `language` is its BCP 47 tag. Raises `InvalidInput` for `name`, `language` and `recording`, `VoiceConflict` and
    `VoicesUnavailable`.
    """
    label = _label(name)
    if not language.strip() or len(language) > 64:
        raise InvalidInput("language", "send the BCP 47 tag of the recording's language, such as en-US")
    most = _MAX_CONSENTS * services.settings.max_voices
    if len(await services.voices.consents(owner)) >= most:
        raise VoiceConflict("recording", f"you have {most} consents, the most that are allowed; delete one")
    sample = await _read(services, file, "recording")
    consent = Consent(new_consent_id(), label, time.time(), language.strip())
    await services.voices.add_consent(owner, consent, sample.to_flac())
    return consent


async def list_consents(services: Services, owner: str) -> list[Consent]:
    """Return the owner's consents, the oldest first. Raises `VoicesUnavailable`."""
    return await services.voices.consents(owner)


async def get_consent(services: Services, owner: str, consent_id: str) -> Consent:
    """Return the owner's consent. Raises `VoiceNotFound` and `VoicesUnavailable`."""
    found = await services.voices.consent(owner, consent_id) if is_consent_id(consent_id) else None
    if found is None:
        raise VoiceNotFound(f"there is no consent {consent_id[:MAX_NAME_CHARS]!r}; it may have been deleted")
    return found


async def rename_consent(services: Services, owner: str, consent_id: str, name: str) -> Consent:
    """Give a consent another name. Raises `InvalidInput`, `VoiceNotFound` and `VoicesUnavailable`."""
    consent = replace(await get_consent(services, owner, consent_id), name=_label(name))
    if not await services.voices.update_consent(owner, consent):
        await get_consent(services, owner, consent_id)
        raise VoicesUnavailable(f"{consent_id} is being changed by another request")
    return consent


async def delete_consent(services: Services, owner: str, consent_id: str) -> None:
    """Remove a consent. Raises `VoiceConflict` while a voice needs it, `VoiceNotFound` and `VoicesUnavailable`."""
    await get_consent(services, owner, consent_id)
    using = [voice.id for voice in await list_voices(services, owner) if voice.consent == consent_id]
    if using:
        raise VoiceConflict("consent_id", f"it is the consent for {', '.join(using)}; delete these voices first")
    if not await services.voices.remove_consent(owner, consent_id):
        await get_consent(services, owner, consent_id)
        raise VoicesUnavailable(f"{consent_id} is being changed by another request")


async def checked_name(services: Services, owner: str, name: str) -> str:
    """Return a name for a new voice of the owner's. Raises `InvalidInput`, `VoiceConflict` and `VoicesUnavailable`."""
    name = _label(name)
    if name.lower().startswith(("voice_", "cons_")):
        raise InvalidInput("name", "a name may not begin as ids do, with voice_ or cons_")
    for model in services.triton.served.of_kind("speech"):
        described = model.description
        own = [voice.id for voice in described.voices] if isinstance(described, SpeechDescription) else []
        if folded(name) in map(folded, (*own, *model.voice_aliases)):
            raise InvalidInput("name", f"{model.id} has a voice {name!r} of its own; choose another name")
    store = services.voices
    if await store.voice_named(owner, name):
        raise _taken(name)
    if await store.count_voices(owner) >= services.settings.max_voices:
        most = services.settings.max_voices
        raise VoiceConflict("name", f"you have {most} voices, the most that are allowed (MAX_VOICES); delete one")
    return name


async def store_voice(services: Services, owner: str, voice: Voice, sample: Sample) -> Voice:
    """Store a voice with its recording, and return it with its digest. Raises `VoiceConflict`."""
    file, digest = await run_in(services.workers.voices, to_stored, sample)
    voice = replace(voice, digest=digest)
    if not await services.voices.add_voice(owner, voice, file):
        raise _taken(voice.name)
    return voice


def _label(name: str) -> str:
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise InvalidInput("name", f"send 1 to {MAX_NAME_CHARS} printable characters")
    return name


def _taken(name: str) -> VoiceConflict:
    return VoiceConflict("name", f"you have a voice {name!r} already; delete it, or choose another name")


def _no_consent(consent_id: str) -> InvalidInput:
    return InvalidInput("consent", f"there is no consent {consent_id[:MAX_NAME_CHARS]!r}; {_HOW}")


async def _read(services: Services, file: bytes, field: str) -> Sample:
    await services.detectors.load()
    return await run_in(
        services.workers.voices,
        read_sample,
        file,
        field,
        services.settings.max_voice_bytes,
        services.detectors.new(),
        services.speaker_encoder,
    )


async def _check_consent(services: Services, order: VoiceOrder) -> None:
    if not order.consent:
        if services.settings.voices_need_consent:
            raise InvalidInput("consent", f"a voice needs its speaker's consent; {_HOW}")
    elif not is_consent_id(order.consent) or not await services.voices.consent(order.owner, order.consent):
        raise _no_consent(order.consent)


async def _check_speaker(services: Services, order: VoiceOrder, sample: Sample) -> None:
    """Raise `InvalidInput` if the speaker of the consent is not that of the sample."""
    recording = await services.voices.consent_recording(order.owner, order.consent)
    if recording is None:
        raise _no_consent(order.consent)
    consenting = await run_in(services.workers.voices, stored_embedding, recording, services.speaker_encoder)
    if consenting is None or sample.embedding is None:
        return
    found = likeness(consenting, sample.embedding)
    if found < ALIKE:
        problem = f"its speaker is not that of audio_sample: their voices agree by {found:.2f}, and must by {ALIKE}"
        raise InvalidInput("consent", problem)


async def _transcribed(services: Services, sample: Sample, telemetry: WorkTelemetry) -> tuple[str, str]:
    """Return the words of a recording and their language."""
    try:
        text, language = await words_of(services, io.BytesIO(sample.to_flac()), telemetry)
    except ModelNotFound:
        problem = "no transcription model is served here; send the words of audio_sample, or x_vector_only"
        raise InvalidInput("ref_text", problem) from None
    if not text:
        raise InvalidInput("audio_sample", "no words were recognized in it; send them in ref_text")
    return text, language
