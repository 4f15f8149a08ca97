"""The options of a speech request, as far as its model supports them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from gateway.audio.formats import AudioFormat, rates_of
from gateway.audio.frames import Pcm
from gateway.core.errors import ModelUnavailable
from gateway.core.speech_tags import Tag
from tritone.contract import SpeechOptions
from tritone.descriptions import SpeechDescription
from tritone.errors import InvalidInput
from tritone.families import Mode
from tritone.options import Value
from tritone.served import ServedModel
from tritone.voice_mix import is_mix, rename

SPEEDS: Final = (0.25, 4.0)
"""The least and the greatest speed that a request may ask for, as factors of the voice's own."""
_CLONES: Final[tuple[Mode, ...]] = ("voice_clone",)
_NAMED_VOICES: Final[tuple[Mode, ...]] = ("custom_voice", "voice")


@dataclass(frozen=True)
class SynthesisRequest:
    """The parameters of one text."""

    text: str
    model: str | None
    """A speech model's id or alias; None: the default one."""
    voice: str = ""
    """A voice of the model, one of OpenAI's names, a mix of them, or a registered voice, in any case.

    Empty: the model's default.
    """
    speed: float = 1.0
    """Times the voice's own speed."""
    options: Mapping[str, Value] = field(default_factory=dict)
    """Further options of `SpeechOptions` that differ from their defaults."""
    ref_audio: str | Pcm | None = None
    """The voice to clone: its samples, or what `audio.ref_audio_source` finds them by."""
    audio_format: AudioFormat | None = None
    """None: DEFAULT_RESPONSE_FORMAT."""
    sample_rate: int | None = None
    """The rate of the file, in Hz; None: the format's or the model's own."""
    volume: float = 1.0
    """Times the voice's own amplitude."""
    tags: tuple[Tag, ...] = ()
    """The kinds of `speech_tags` that are no text, where a text is spoken in parts."""
    ignored: Sequence[str] = ()
    """What the text asks for that has no effect."""
    whole: bool = False
    """Make a file that has its length in its header, where the format has a place for it."""
    word_times: bool = False
    """Find the times of the words."""
    owner: str = ""
    """The client that owns the registered voices which `voice` may name; empty: the one of the request's telemetry."""

    def file_format(self, default: AudioFormat) -> AudioFormat:
        """Return the format of the file. Raises `InvalidInput` for a sample rate that it cannot have."""
        audio_format = self.audio_format or default
        rates = rates_of(audio_format)
        if self.sample_rate and self.sample_rate not in rates:
            problem = f"{audio_format} cannot have {self.sample_rate} Hz; choose from {', '.join(map(str, rates))}"
            raise InvalidInput("sample_rate", problem)
        return audio_format


@dataclass(frozen=True)
class ResolvedOptions:
    """The options of a request that its model supports."""

    options: SpeechOptions
    tempo: float
    """The part of `speed` that the gateway adds."""
    ignored: tuple[str, ...]
    """The options of the request that have no effect with this model."""

    @classmethod
    def of(cls, request: SynthesisRequest, model: ServedModel) -> Self:
        """Resolve the options of `request`. Raises `InvalidInput`, and `ModelUnavailable` before the first load."""
        description = description_of(model)
        given = {**({"voice": request.voice} if request.voice else {}), **request.options}
        if request.word_times and tells_word_times(model):
            given["word_timestamps"] = True
        usable = set(description.options) - ({"voice"} if request.ref_audio is not None else set())
        ignored = [name for name in given if name not in usable]
        followed = {name: value for name, value in given.items() if name in usable}
        if "voice" in followed:
            followed["voice"] = _voice(request.voice, model, description)
            ignored += [] if followed["voice"] else ["voice"]
        low, high = description.speed_range
        speed = min(max(request.speed, low), high)
        options = SpeechOptions.from_parameters({"speed": speed, **followed})
        return cls(options, request.speed / speed, (*ignored, *request.ignored))


def description_of(model: ServedModel) -> SpeechDescription:
    """Return the description of a speech model. Raises `ModelUnavailable` before its first load."""
    if not isinstance(model.description, SpeechDescription):
        raise ModelUnavailable(f"model {model.id!r} is loading; try again")
    return model.description


def tells_word_times(model: ServedModel) -> bool:
    """Return whether a speech model reports the times of its words by itself."""
    return "word_timestamps" in description_of(model).options


def check_mode(request: SynthesisRequest, model: ServedModel, served: Iterable[ServedModel]) -> None:
    """Raise `InvalidInput`, with the models to use instead, if the model cannot use the request's kind of voice."""
    if model.mode == "voice_clone" and request.ref_audio is None and not _has_voices(model):
        problem = f"{model.id} needs it, a recording of the voice, or a registered voice; to name another voice"
        raise _other_mode("ref_audio", problem, _NAMED_VOICES, served)
    if model.mode != "voice_clone" and request.ref_audio is not None:
        raise _other_mode("ref_audio", f"{model.id} clones no voice; to clone one", _CLONES, served)
    if model.mode == "voice_design" and "instruct" not in request.options:
        problem = f"{model.id} needs a description of the voice; to name a voice"
        raise _other_mode("instruct", problem, _NAMED_VOICES, served)


def _has_voices(model: ServedModel) -> bool:
    return isinstance(model.description, SpeechDescription) and bool(model.description.voices)


def _other_mode(field: str, problem: str, modes: Collection[Mode], served: Iterable[ServedModel]) -> InvalidInput:
    models = [model.id for model in served if model.mode in modes]
    choice = f"choose {' or '.join(models)}" if models else "no model is served here (TTS_MODES)"
    return InvalidInput(field, f"{problem} {choice}")


def _voice(name: str, model: ServedModel, description: SpeechDescription) -> str:
    """Return the model's own id of the voice that a client calls `name`, or its mix of such ids.

    Empty for a name of OpenAI's if this checkpoint lacks the voice for it, as a fine-tuned one does: the model then
    uses its own voice. Raises `InvalidInput` for an unknown name.
    """
    own = {voice.id.lower(): voice.id for voice in description.voices}

    def find(name: str) -> str:
        key = name.strip().lower()
        if key in own:
            return own[key]
        if key in model.voice_aliases:
            return own.get(model.voice_aliases[key].lower(), "")
        known = ", ".join([*own.values(), *model.voice_aliases])
        raise InvalidInput("voice", f"{model.id} has no voice {name[:64]!r}; choose from: {known}")

    return rename(name, find) if description.mixes_voices and is_mix(name) else find(name)


def expected_seconds(text: str) -> float:
    """Return an estimate of the length of the speech: 15 letters a second, or 4 characters of East Asia."""
    wide = sum(character >= "\u2e80" for character in text)
    return wide / 4 + (len(text) - wide) / 15
