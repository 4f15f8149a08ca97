"""Voices and consents as OpenAI's API has them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, Field

from gateway.core.voices.voice import Consent, Voice, VoiceType


class VoiceResource(BaseModel):
    """A registered voice. The fields from `duration` on are not in OpenAI's API."""

    id: str
    object: Literal["audio.voice"] = "audio.voice"
    created_at: int = Field(description="Unix seconds.")
    name: str
    type: VoiceType
    prompt: str | None = Field(None, description="Of a voice of the type `prompt`: its description.")
    duration: float = Field(description="Seconds of the recording that models clone.")
    ref_text: str | None = Field(None, description="The words of that recording.")
    language: str | None = Field(None, description="The ISO 639-1 code of their language, if it was detected.")
    consent: str | None = Field(None, description="The id of the speaker's consent.")

    @classmethod
    def of(cls, voice: Voice) -> Self:
        """Return the resource of a voice."""
        return cls(
            id=voice.id,
            created_at=int(voice.created),
            name=voice.name,
            type=voice.type,
            prompt=voice.prompt or None,
            duration=round(voice.seconds, 3),
            ref_text=voice.text or None,
            language=voice.language or None,
            consent=voice.consent or None,
        )


class VoiceDeleted(BaseModel):
    """A voice that was deleted."""

    id: str
    object: Literal["audio.voice.deleted"] = "audio.voice.deleted"
    deleted: Literal[True] = True


class VoiceConsent(BaseModel):
    """A recording in which a speaker agrees to the use of their voice."""

    id: str
    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    created_at: int = Field(description="Unix seconds.")
    language: str = Field(description="The BCP 47 tag of the recording's language.")
    name: str

    @classmethod
    def of(cls, consent: Consent) -> Self:
        """Return the resource of a consent."""
        return cls(id=consent.id, created_at=int(consent.created), language=consent.language, name=consent.name)


class VoiceConsentDeleted(BaseModel):
    """A consent that was deleted."""

    id: str
    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    deleted: Literal[True] = True


class VoiceConsentList(BaseModel):
    """A page of consents, the oldest first."""

    object: Literal["list"] = "list"
    data: list[VoiceConsent]
    first_id: str | None
    last_id: str | None
    has_more: bool
