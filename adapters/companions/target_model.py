"""The transcription model that a request to `transcription-long` names, or implies."""

from __future__ import annotations

from collections.abc import Callable

from tritone.errors import InvalidInput, Overloaded
from tritone.served import ServedDocument


def choose_model(name: str, document: ServedDocument | None, is_ready: Callable[[str], bool]) -> str:
    """Return the id of a transcription model that is loaded, or idle.

    Without a document (None) `name` is required. Raises `InvalidInput` for a wrong or a missing name, and `Overloaded`
    for a model that is neither.
    """
    if document is None:
        if not name:
            raise InvalidInput("model", "is required; send the id of a transcription model")
    else:
        name = _listed(name, document)
        if is_idle(name, document):
            return name
    if not is_ready(name):
        raise Overloaded(f"{name} is not loaded; try again")
    return name


def is_idle(name: str, document: ServedDocument) -> bool:
    """Return whether a model is unloaded because it was not used."""
    return any(model.id == name and model.state == "idle" for model in document.models)


def _listed(name: str, document: ServedDocument) -> str:
    served = {model.id: model for model in document.models if model.kind == "transcription"}
    if name:
        if name not in served:
            raise InvalidInput("model", f"{name!r} is no transcription model here; choose from: {', '.join(served)}")
        return name
    loaded = [id_ for id_, model in served.items() if model.state in ("ready", "idle")]
    if not loaded:
        raise Overloaded("no transcription model is loaded; try again")
    if len(loaded) > 1:
        raise InvalidInput("model", f"several are loaded; choose from: {', '.join(loaded)}")
    return loaded[0]
