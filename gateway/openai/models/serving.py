"""The lists, made from the servers' documents; before a server was reached, they raise `ModelUnavailable`."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.served_models import ServedModels
from gateway.core.speech_options import description_of
from gateway.core.voices.voice import Voice
from gateway.openai.chat.models import chat_models, is_listed
from gateway.openai.models.protocol import (
    ModelList,
    ModelObject,
    SpeechModelList,
    SpeechModelObject,
    VoiceList,
    VoiceObject,
)
from gateway.openai.voices.protocol import VoiceResource
from gateway.settings import GatewaySettings
from tritone import languages
from tritone.descriptions import SpeechDescription
from tritone.descriptions import Voice as ModelVoice


def model_list(served: ServedModels, settings: GatewaySettings) -> ModelList:
    """Return the chosen models, in whatever state, and the names of the language model."""
    served.check_reached()
    chat = [ModelObject.of_language_model(name) for name in chat_models(settings)]
    return ModelList(data=[*(ModelObject.of(model) for model in served.models), *chat])


def model_object(served: ServedModels, settings: GatewaySettings, name: str) -> ModelObject:
    """Return a model by its id or alias. Raises `ModelNotFound`."""
    if is_listed(name, settings):
        return ModelObject.of_language_model(name)
    return ModelObject.of(served.resolve(name), name)


def speech_model_list(served: ServedModels) -> SpeechModelList:
    """Return the speech models."""
    served.check_reached()
    return SpeechModelList(models=[SpeechModelObject(id=model.id) for model in served.of_kind("speech")])


def voice_list(served: ServedModels, model: str | None, registered: Sequence[Voice]) -> VoiceList:
    """Return the voices of one speech model, or of all that were loaded at least once, and the `registered` ones.

    Of a model that clones no voice, they are not. Raises `ModelNotFound`, and `ModelUnavailable` for a model that was
    not loaded yet.
    """
    served.check_reached()
    if model:
        chosen = served.resolve(model, "speech")
        descriptions = [description_of(chosen)]
        registered = registered if chosen.mode == "voice_clone" else ()
    else:
        known = (each.description for each in served.of_kind("speech"))
        descriptions = [description for description in known if isinstance(description, SpeechDescription)]
    # Models of one family share their voices.
    voices = {voice.id: _object(voice) for description in descriptions for voice in description.voices}
    voices.update(
        {voice.id: VoiceObject(id=voice.id, name=voice.name, language=voice.language or None) for voice in registered}
    )
    return VoiceList(
        voices=list(voices.values()),
        data=[VoiceResource.of(voice) for voice in registered],
    )


def _object(voice: ModelVoice) -> VoiceObject:
    """Return a voice, its name with its language: the same name may be a voice in several."""
    language = languages.NAMES.get(voice.language)
    if language is None:
        return VoiceObject(id=voice.id, name=voice.name)
    return VoiceObject(id=voice.id, name=f"{voice.name} ({language.title()})", language=voice.language)
