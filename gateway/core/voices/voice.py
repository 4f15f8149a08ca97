"""A registered voice, and the consent of its speaker."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from tritone.voice_key import voice_key

VoiceType = Literal["audio_sample", "prompt"]

MAX_NAME_CHARS: Final = 128
_VOICE_ID: Final = re.compile(r"voice_[0-9a-f]{32}")
_CONSENT_ID: Final = re.compile(r"cons_[0-9a-f]{32}")


@dataclass(frozen=True)
class _Record:
    """Fields that a store keeps as JSON."""

    id: str
    name: str
    created: float
    """Unix seconds."""

    def to_json(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Undo `to_json`; keys that are unknown here are ignored, as a newer gateway may write them."""
        known = {each.name for each in dataclasses.fields(cls)}
        values: dict[str, Any] = json.loads(text)
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True)
class Voice(_Record):
    """A registered voice. It never changes; its owner alone may see it."""

    type: VoiceType
    seconds: float
    """The length of its reference recording."""
    text: str
    """The words of its reference recording; empty: models take only the timbre from it."""
    language: str
    """The language of `text` as an ISO 639-1 code; empty if it is unknown."""
    digest: str
    """The `audio_digest` of its reference recording, in hexadecimal."""
    consent: str = ""
    """The id of the speaker's consent."""
    prompt: str = ""
    """The description that a voice of the type `prompt` was designed from."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Every `voice_key` under which models may hold the voice."""
        digest = bytes.fromhex(self.digest)
        return tuple(voice_key(digest, self.text, x_vector_only=only) for only in (False, True))


@dataclass(frozen=True)
class Consent(_Record):
    """A recording in which a speaker agrees to the use of their voice."""

    language: str
    """The BCP 47 tag of the recording's language."""


@dataclass(frozen=True)
class VoiceOrder:
    """A voice to register from a recording."""

    owner: str
    """The client; it alone may see, use and delete the voice."""
    name: str
    """Unique among the owner's voices, in any case."""
    consent: str = ""
    """The id of a consent of the owner's; needed if VOICES_NEED_CONSENT is set."""
    text: str = ""
    """The words of the recording; empty: they are transcribed."""
    x_vector_only: bool = False
    """Take only the timbre from the recording; its words are then not needed."""


def new_voice_id() -> str:
    """Return an id for a voice."""
    return f"voice_{secrets.token_hex(16)}"


def new_consent_id() -> str:
    """Return an id for a consent."""
    return f"cons_{secrets.token_hex(16)}"


def is_voice_id(name: str) -> bool:
    """Return whether `name` has the form of a voice's id."""
    return _VOICE_ID.fullmatch(name) is not None


def is_consent_id(name: str) -> bool:
    """Return whether `name` has the form of a consent's id."""
    return _CONSENT_ID.fullmatch(name) is not None


def folded(name: str) -> str:
    """Return the form of a name in which names are compared: without case, and without spaces around it."""
    return unicodedata.normalize("NFKC", name).strip().casefold()
