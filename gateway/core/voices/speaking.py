"""Find the registered voice that a speech request names, and the model that speaks in it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from gateway.audio.frames import Pcm
from gateway.core.errors import VoiceNotFound
from gateway.core.references import Reference, reference_to
from gateway.core.services import Services
from gateway.core.speech_options import SynthesisRequest, check_mode
from gateway.core.voices.sample import decode_stored
from gateway.core.voices.voice import MAX_NAME_CHARS, Voice, folded, is_voice_id
from gateway.core.workers import run_in
from tritone.contract import SpeechOptions
from tritone.descriptions import SpeechDescription
from tritone.errors import InvalidInput
from tritone.options import Value
from tritone.served import ModelState, ServedModel
from tritone.voice_mix import is_mix

_USABLE: Final[tuple[ModelState, ...]] = ("ready", "idle")


@dataclass(frozen=True)
class ChosenVoice:
    """A speech request with the model that serves it."""

    request: SynthesisRequest
    """With the words of the registered voice's recording, and without its name."""
    model: ServedModel
    voice: Voice | None
    """The registered voice; None: the model's own, or that of the request's `ref_audio`."""


async def choose_voice(services: Services, request: SynthesisRequest) -> ChosenVoice:
    """Return the model of a speech request, and the owner's registered voice that its `voice` names by id or name.

    A name that the model itself knows is the model's voice. For a registered voice and no model, or an alias, the model
    is one that clones: one of this alias, else one that is ready, and of these the one whose id begins with that of the
    alias's own model.

    Raises `ModelNotFound`, `ModelUnavailable`, `VoicesUnavailable`, `VoiceNotFound` for an unknown id, and
    `InvalidInput` for a model that cannot use the request's voice.
    """
    served = services.triton.served
    model = served.resolve(request.model, "speech")
    voice = await _registered(services, request, model)
    if voice is None:
        check_mode(request, model, served.models)
        return ChosenVoice(request, model, None)
    model = _clone_model(request.model, model, served.of_kind("speech"), voice)
    options = {name: value for name, value in request.options.items() if name != "ref_text"}
    return ChosenVoice(replace(request, voice="", options={**options, **_words(voice, model)}), model, voice)


def stored_reference(services: Services, owner: str, voice: Voice, options: SpeechOptions) -> Reference:
    """Return the reference of a registered voice; its recording is read only for a model that does not hold it."""

    async def load() -> Pcm:
        file = await services.voices.audio(owner, voice)
        if file is None:
            raise _unknown(voice.id)
        return await run_in(services.workers.voices, decode_stored, file)

    return reference_to(load, bytes.fromhex(voice.digest), options)


async def _registered(services: Services, request: SynthesisRequest, model: ServedModel) -> Voice | None:
    name, store = request.voice, services.voices
    if not request.owner or request.ref_audio is not None or not name.strip() or _is_own(name, model):
        return None
    if not is_voice_id(name):
        return await store.voice_named(request.owner, name)
    if voice := await store.voice(request.owner, name):
        return voice
    raise _unknown(name)


def _is_own(name: str, model: ServedModel) -> bool:
    """Return whether the model itself has a voice of this name."""
    described = model.description
    own = [voice.id for voice in described.voices] if isinstance(described, SpeechDescription) else []
    mixes = isinstance(described, SpeechDescription) and described.mixes_voices and is_mix(name)
    return mixes or folded(name) in map(folded, (*own, *model.voice_aliases))


def _clone_model(name: str | None, model: ServedModel, served: Iterable[ServedModel], voice: Voice) -> ServedModel:
    """Return a model that speaks in `voice`: `model` itself, or, if `name` is no id, the best other one."""
    if model.mode == "voice_clone":
        return model
    clones = [each for each in served if each.mode == "voice_clone"]
    if not clones:
        problem = f"{voice.id} is a registered voice, and no model that clones voices is served here (TTS_MODES)"
        raise InvalidInput("voice", problem)
    if name == model.id:
        choice = " or ".join(each.id for each in clones)
        raise InvalidInput("voice", f"{voice.id} is a registered voice, and {name} clones no voice; choose {choice}")

    def rank(clone: ServedModel) -> tuple[float, bool, bool]:
        # `qwen3-tts-1.7b-clone` has the size of `qwen3-tts-1.7b`.
        return clone.aliases.get(name or "", math.inf), clone.state not in _USABLE, not clone.id.startswith(model.id)

    return min(clones, key=rank)


def _words(voice: Voice, model: ServedModel) -> dict[str, Value]:
    """Return the options that tell the model the words of the recording, or that they are not known."""
    described = model.description
    supported = described.options if isinstance(described, SpeechDescription) else ("ref_text", "x_vector_only")
    if voice.text:
        return {"ref_text": voice.text} if "ref_text" in supported else {}
    if "ref_text" in supported and "x_vector_only" not in supported:
        problem = f"{voice.id} was registered without the words of its recording, which {model.id} needs"
        raise InvalidInput("voice", problem)
    return {"x_vector_only": True} if "x_vector_only" in supported else {}


def _unknown(name: str) -> VoiceNotFound:
    return VoiceNotFound(f"there is no voice {name[:MAX_NAME_CHARS]!r}; it may have been deleted")
