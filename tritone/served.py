"""The models that one Triton server serves, as its `tritone` model reports them.

The supervisor writes the document, the `tritone` model sends it, and the gateway reads it. So a gateway needs no list
of models, and the servers behind one gateway may serve different models.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from tritone.contract import SpeechDescription, TranscriptionDescription
from tritone.families import Kind, Mode

MODEL: Final = "tritone"
"""The id of the model that answers with the document."""

ModelState = Literal["loading", "ready", "idle", "failed", "unloaded"]
"""`idle`: unloaded because it was not used; a request to the `tritone` model with the option `load` loads it again."""
ServerState = Literal["starting", "serving", "stopping"]
Description = SpeechDescription | TranscriptionDescription


@dataclass(frozen=True)
class ServedModel:
    """A model that the settings chose; `state` says if it is loaded."""

    id: str
    kind: Kind
    mode: Mode
    owner: str
    state: ModelState
    aliases: Mapping[str, int] = field(default_factory=dict)
    """Alias -> the model's rank for it; among all servers' models, the one with the lowest rank gets the alias."""
    voice_aliases: Mapping[str, str] = field(default_factory=dict)
    """OpenAI's voice name -> the model's own."""
    description: Description | None = None
    """The abilities that the model reported; None until it is loaded for the first time."""
    created: int = 0
    """Unix seconds of the first load; 0 before."""
    loads: int = 0
    """The number of times that the model was loaded; a change shows that it was loaded again."""
    lost_loads: int = 0
    """Calls that began while `loads` was this or less are lost: every process that served them is dead."""
    idle_seconds: float = 0.0
    """Seconds without requests after which the model is unloaded; 0: never."""


@dataclass(frozen=True)
class GpuMemory:
    """The memory of a GPU, in GB, with that of other programs on it."""

    used: float
    total: float


@dataclass(frozen=True)
class ServedDocument:
    """The state of one server."""

    state: ServerState
    models: tuple[ServedModel, ...]
    version: int = 0
    """Grows with every change; a client sends it back to wait for the next change."""
    gpus: tuple[GpuMemory, ...] = ()
    """The GPUs of the models; () on a CPU, and where they cannot be queried."""

    def to_json(self) -> str:
        """Return the text of the `document` tensor."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> ServedDocument:
        """Undo `to_json`; keys that are unknown here are ignored, as a newer server may send them."""
        data = json.loads(text)
        gpus = tuple(GpuMemory(gpu["used"], gpu["total"]) for gpu in data.get("gpus", ()))
        return cls(data["state"], tuple(_model(model) for model in data["models"]), data["version"], gpus)


def _model(data: Mapping[str, Any]) -> ServedModel:
    known = {f.name for f in dataclasses.fields(ServedModel)}
    described = data.get("description")
    parsed: Description | None = None
    if described is not None:
        kind = SpeechDescription if data["kind"] == "speech" else TranscriptionDescription
        parsed = kind.from_dict(described)
    return ServedModel(**{**{key: value for key, value in data.items() if key in known}, "description": parsed})
