"""What a speech request asks of its model: which fields it follows, and which are told to have no effect."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Self

from gateway.errors import BadRequest
from gateway.speech.protocol import SpeechRequest
from tritone.catalogue import Mode, Model
from tritone.contract import SpeechDescription, SpeechOptions
from tritone.errors import InvalidInput

_CLONES: Final[tuple[Mode, ...]] = ("voice_clone",)
_NAMED_VOICES: Final[tuple[Mode, ...]] = ("custom_voice", "voice")


@dataclass(frozen=True)
class Asked:
    """A request in a model's words."""

    options: SpeechOptions
    tempo: float
    """What is left of `speed` for the gateway to do."""
    ignored: tuple[str, ...]
    """The request's fields that have no effect, as they were sent."""

    @classmethod
    def of(cls, body: SpeechRequest, model: Model, description: SpeechDescription) -> Self:
        """What is asked of a model that describes itself so; raises `BadRequest` with the field at fault."""
        wishes = body.wishes
        ignored = [body.spelling(name) for name in wishes if name not in description.follows]
        followed = {name: value for name, value in wishes.items() if name in description.follows}
        if "voice" in followed:
            voice = _voice(body.voice_name, model, description)
            followed["voice"] = voice
            ignored += [] if voice else ["voice"]
        low, high = description.speed_range
        speed = min(max(body.speed, low), high)
        options = SpeechOptions(speed=speed, **followed)
        try:
            options.check()
        except InvalidInput as error:
            raise BadRequest(str(error), param=error.field) from None
        return cls(options, body.speed / speed, (*ignored, *body.unknown_fields))


def check_mode(body: SpeechRequest, model: Model, served: Iterable[Model]) -> None:
    """Raise `BadRequest`, with the models to use instead, where the model would speak in a voice that nobody meant."""
    if model.mode == "voice_clone" and body.ref_audio is None:
        problem = f"{model.id} needs it, a recording of the voice; to name a voice"
        raise _other_mode("ref_audio", problem, _NAMED_VOICES, served)
    if model.mode != "voice_clone" and body.ref_audio is not None:
        raise _other_mode("ref_audio", f"{model.id} clones no voice; to clone one", _CLONES, served)
    if model.mode == "voice_design" and "instruct" not in body.wishes:
        problem = f"{model.id} needs them (or `instruct`), a description of the voice; to name a voice"
        raise _other_mode("instructions", problem, _NAMED_VOICES, served)


def _other_mode(param: str, problem: str, modes: Collection[Mode], served: Iterable[Model]) -> BadRequest:
    models = [model.id for model in served if model.mode in modes]
    choice = f"choose {' or '.join(models)}" if models else "no model is served here (TTS_MODES)"
    return BadRequest(f"{param}: {problem} {choice}", param=param)


def _voice(name: str, model: Model, description: SpeechDescription) -> str:
    """The model's own id of the voice that a client calls `name`.

    Empty for a name of OpenAI's whose counterpart this checkpoint lacks, as a fine-tuned one does: it speaks in its
    own. Raises `BadRequest` for a name that is nobody's.
    """
    own = {voice.id.lower(): voice.id for voice in description.voices}
    asked = name.strip().lower()
    if asked in own:
        return own[asked]
    if asked in model.voices:
        return own.get(model.voices[asked].lower(), "")
    there_are = ", ".join([*own.values(), *model.voices])
    raise BadRequest(f"voice: {model.id} has no voice {name[:64]!r}; there are: {there_are}", param="voice")
