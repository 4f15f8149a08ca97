"""The lists of models and voices."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel

from gateway.openai.voices.protocol import VoiceResource
from tritone.families import Kind, Mode
from tritone.served import ServedModel


class ModelObject(BaseModel):
    """OpenAI's model object. The fields from `kind` on are not in OpenAI's API."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Unix seconds of the model's first load; 0 before."""
    owned_by: str
    kind: Kind | Literal["chat"]
    mode: Mode | Literal["chat"]
    """How it works: `voice_clone` speaks in the voice of a recording, `voice_design` in one that is described.

    `chat`: the language model behind this server, for chat completions.
    """
    options: list[str] | None = None
    """The request options that the model supports, as the gRPC contract names them; null until it is loaded once."""
    languages: list[str] | None = None
    """The ISO 639-1 codes of its languages; null until it is loaded once."""

    @classmethod
    def of(cls, model: ServedModel, name: str | None = None) -> Self:
        """Return the object of a served model, under the alias `name` if the client asked for that."""
        return cls(
            id=name or model.id,
            created=model.created,
            owned_by=model.owner,
            kind=model.kind,
            mode=model.mode,
            options=list(model.description.options) if model.description else None,
            languages=list(model.description.languages) if model.description else None,
        )

    @classmethod
    def of_language_model(cls, name: str) -> Self:
        """Return the object of the language model under one of its names."""
        return cls(id=name, created=0, owned_by="tritone", kind="chat", mode="chat")


class ModelList(BaseModel):
    """OpenAI's list of models."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class SpeechModelObject(BaseModel):
    """A speech model in Open WebUI's list."""

    id: str


class SpeechModelList(BaseModel):
    """Open WebUI's list of speech models."""

    models: list[SpeechModelObject]


class VoiceObject(BaseModel):
    """A voice that a speech request may name."""

    id: str
    name: str
    language: str | None = None
    """The ISO 639-1 code; absent for a voice of any language."""


class VoiceList(BaseModel):
    """Open WebUI's list of voices, and the registered ones among them as OpenAI's API has them."""

    voices: list[VoiceObject]
    object: Literal["list"] = "list"
    data: list[VoiceResource]
