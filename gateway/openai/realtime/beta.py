"""The flat form of a session's configuration, from the beta of OpenAI's Realtime API."""

from __future__ import annotations

from typing import Any, Final

from gateway.openai.realtime.protocol import ClientWarning
from gateway.openai.realtime.session_config import SessionConfig
from tritone.errors import InvalidInput

UPDATE: Final = "transcription_session.update"
"""The beta's `session.update`."""

_FORMATS: Final = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
_FIELDS: Final = {
    "input_audio_transcription": "transcription",
    "turn_detection": "turn_detection",
    "input_audio_noise_reduction": "noise_reduction",
}
"""Flat field -> its name in `audio.input`."""
_DROPPED: Final = ("modalities", "client_secret")
"""Fields that are the same in every transcription session."""


def nested(session: Any) -> Any:
    """Return the changes of a session with flat fields moved to where they belong now.

    Raises `InvalidInput` for an unknown `input_audio_format`.
    """
    if not isinstance(session, dict) or not session.keys() & {*_FIELDS, *_DROPPED, "input_audio_format"}:
        return session
    moved = {_FIELDS[name]: value for name, value in session.items() if name in _FIELDS}
    if (format_ := session.get("input_audio_format")) is not None:
        if not isinstance(format_, str) or format_ not in _FORMATS:
            raise InvalidInput("session.input_audio_format", f"choose from: {', '.join(_FORMATS)}")
        moved["format"] = {"type": _FORMATS[format_]}
    rest = {name: value for name, value in session.items() if name not in (*_FIELDS, *_DROPPED, "input_audio_format")}
    audio = _object(rest, "audio")
    return {**rest, "audio": {**audio, "input": {**_object(audio, "input"), **moved}}}


def flat_path(path: str) -> str:
    """Return what a client of the beta calls the field at `path` of a session."""
    for flat_name, name in (*_FIELDS.items(), ("input_audio_format", "format")):
        rest = path.removeprefix(f"session.audio.input.{name}")
        if rest != path and rest[:1] in ("", "."):
            return f"session.{flat_name}{rest}"
    return path


def flat_warning(warning: ClientWarning) -> ClientWarning:
    """Return a warning with the field's flat name."""
    path = warning["param"]
    return {**warning, "param": flat_path(path), "message": warning["message"].replace(path, flat_path(path))}


def flat(config: SessionConfig) -> dict[str, Any]:
    """Return the configuration in the beta's form."""
    input_ = config.model_dump()["audio"]["input"]
    format_ = next(name for name, type_ in _FORMATS.items() if type_ == config.input.format.type)
    return {
        "id": config.id,
        "object": config.object,
        "expires_at": config.expires_at,
        "modalities": ["audio", "text"],
        "input_audio_format": format_,
        **{name: input_[new] for name, new in _FIELDS.items()},
        "include": config.include,
    }


def _object(fields: dict[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}
