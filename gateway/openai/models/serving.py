"""The lists, made from the servers' documents; before a server was reached, they raise `ModelUnavailable`."""

from __future__ import annotations

from gateway.core.served_models import ServedModels
from gateway.core.speech_options import description_of
from gateway.openai.models.protocol import (
    ModelList,
    ModelObject,
    SpeechModelList,
    SpeechModelObject,
    VoiceList,
    VoiceObject,
)
from tritone import languages
from tritone.descriptions import SpeechDescription, Voice


def model_list(served: ServedModels) -> ModelList:
    """Return the chosen models, in whatever state."""
    served.check_reached()
    return ModelList(data=[ModelObject.of(model) for model in served.models])


def speech_model_list(served: ServedModels) -> SpeechModelList:
    """Return the speech models."""
    served.check_reached()
    return SpeechModelList(models=[SpeechModelObject(id=model.id) for model in served.of_kind("speech")])


def voice_list(served: ServedModels, model: str | None) -> VoiceList:
    """Return the voices of one speech model, or of all that were loaded at least once.

    Raises `ModelNotFound`, and `ModelUnavailable` for a model that was not loaded yet.
    """
    served.check_reached()
    if model:
        descriptions = [description_of(served.resolve(model, "speech"))]
    else:
        known = (each.description for each in served.of_kind("speech"))
        descriptions = [description for description in known if isinstance(description, SpeechDescription)]
    # Models of one family share their voices.
    voices = {voice.id: voice for description in descriptions for voice in description.voices}
    return VoiceList(voices=[VoiceObject(id=voice.id, name=_name(voice)) for voice in voices.values()])


def _name(voice: Voice) -> str:
    """Return the name of a voice with its language: the same name may be a voice in several."""
    language = languages.NAMES.get(voice.language)
    return f"{voice.name} ({language.title()})" if language else voice.name
