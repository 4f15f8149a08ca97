"""The store of voices and consents: each owner's below a folder of its own, so that no request reaches another's."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

from gateway.core.voices.objects import Objects
from gateway.core.voices.records import Record, Records
from gateway.core.voices.voice import Consent, Voice, folded

AUDIO: Final = "audio.flac"
_METADATA: Final = "voice.json"
_RECORDING: Final = "recording.flac"


class VoiceStore:
    """Voices and consents in `objects`. The methods raise `VoicesUnavailable`.

    A voice is its recording, its metadata and the reservation of its name, which is the only object of it that others
    may compete for, and the proof that it exists.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._records = Records(objects)

    async def add_voice(self, owner: str, voice: Voice, audio: bytes) -> bool:
        """Write a voice; return False if the owner has one of this name."""
        files = {AUDIO: audio, _METADATA: voice.to_json()}
        return await self._records.add(_voice_record(owner, voice), files, voice.id.encode())

    async def voice(self, owner: str, voice_id: str) -> Voice | None:
        """Return the voice with this id, which has the form of one."""
        content = await self._objects.get(f"{_folder(owner)}/voices/{voice_id}/{_METADATA}")
        voice = Voice.from_json(content) if content else None
        return voice if voice and await self.exists(owner, voice) else None

    async def voice_named(self, owner: str, name: str) -> Voice | None:
        """Return the voice with this name, in any case."""
        voice_id = await self._objects.get(_reservation(owner, name))
        return await self.voice(owner, voice_id.decode()) if voice_id else None

    async def exists(self, owner: str, voice: Voice) -> bool:
        """Return whether the owner's voice was not removed."""
        return await self._records.exists(_voice_record(owner, voice))

    async def voices(self, owner: str) -> list[Voice]:
        """Return all voices of an owner, the oldest first."""
        entries = await self._objects.list(f"{_folder(owner)}/names")
        ids = filter(None, await asyncio.gather(*(self._objects.get(entry.path) for entry in entries)))
        found = await asyncio.gather(*(self.voice(owner, each.decode()) for each in ids))
        return sorted((voice for voice in found if voice), key=lambda voice: (voice.created, voice.id))

    async def count_voices(self, owner: str) -> int:
        """Return the number of an owner's voices."""
        return len(await self._objects.list(f"{_folder(owner)}/names"))

    async def audio(self, owner: str, voice: Voice) -> bytes | None:
        """Return the recording of a voice, in FLAC."""
        return await self._objects.get(f"{_folder(owner)}/voices/{voice.id}/{AUDIO}")

    async def remove_voice(self, owner: str, voice: Voice) -> bool:
        """Remove a voice; return False if it does not exist, or another request is removing it."""
        return await self._records.remove(_voice_record(owner, voice))

    async def add_consent(self, owner: str, consent: Consent, recording: bytes) -> None:
        """Write a consent."""
        await self._records.add(_consent_record(owner, consent.id), {_RECORDING: recording}, consent.to_json())

    async def consent(self, owner: str, consent_id: str) -> Consent | None:
        """Return the consent with this id, which has the form of one."""
        content = await self._objects.get(_consent_record(owner, consent_id).entry)
        return Consent.from_json(content) if content else None

    async def consents(self, owner: str) -> list[Consent]:
        """Return all consents of an owner, the oldest first."""
        entries = await self._objects.list(f"{_folder(owner)}/consents")
        contents = await asyncio.gather(*(self._objects.get(each.path) for each in entries))
        found = [Consent.from_json(content) for content in contents if content]
        return sorted(found, key=lambda consent: (consent.created, consent.id))

    async def consent_recording(self, owner: str, consent_id: str) -> bytes | None:
        """Return the recording of a consent, in FLAC."""
        return await self._objects.get(f"{_consent_record(owner, consent_id).folder}/{_RECORDING}")

    async def update_consent(self, owner: str, consent: Consent) -> bool:
        """Replace the metadata of a consent; return False if it does not exist."""
        return await self._records.update(_consent_record(owner, consent.id), consent.to_json())

    async def remove_consent(self, owner: str, consent_id: str) -> bool:
        """Remove a consent; return False if it does not exist."""
        return await self._records.remove(_consent_record(owner, consent_id))

    async def clean(self) -> None:
        """Remove what gateways that died have left."""
        await self._records.clean()


def _folder(owner: str) -> str:
    return f"owners/{_hash(owner)}"


def _reservation(owner: str, name: str) -> str:
    return f"{_folder(owner)}/names/{_hash(folded(name))}"


def _voice_record(owner: str, voice: Voice) -> Record:
    return Record(voice.id, f"{_folder(owner)}/voices/{voice.id}", _reservation(owner, voice.name))


def _consent_record(owner: str, consent_id: str) -> Record:
    folder = _folder(owner)
    return Record(consent_id, f"{folder}/recordings/{consent_id}", f"{folder}/consents/{consent_id}.json")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
