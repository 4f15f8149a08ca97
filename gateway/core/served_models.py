"""The models of all servers together: their states, and the names that requests may use for them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from gateway.core.errors import ModelNotFound, ModelUnavailable
from gateway.core.server import Server
from tritone.errors import InvalidInput
from tritone.families import Kind, Mode
from tritone.served import GpuMemory, ModelState, ServedModel

_NEED_A_VOICE: Final[tuple[Mode, ...]] = ("voice_clone", "voice_design")
"""Modes of models that cannot serve a request with a text alone."""
_BEST_FIRST: Final[tuple[ModelState, ...]] = ("ready", "idle", "loading", "unloaded", "failed")


@dataclass(frozen=True)
class ServedModels:
    """The models that the servers are configured to serve. A model of several servers has the best of its states."""

    models: tuple[ServedModel, ...]
    reached: bool
    """True after any server has sent a document of its models."""
    gpus: tuple[GpuMemory, ...] = ()
    """The GPUs of all servers that are within reach."""

    @classmethod
    def of(cls, servers: Iterable[Server]) -> ServedModels:
        """Merge the last documents of `servers`; the models of a server that is out of reach count as not loaded."""
        merged: dict[str, ServedModel] = {}
        reached = False
        gpus: list[GpuMemory] = []
        for server in servers:
            document = server.document
            if document is None or (document.state == "starting" and not document.models):
                continue
            reached = True
            available = server.connected and document.state != "stopping"
            gpus += document.gpus if available else ()
            for model in document.models:
                seen = model if available or model.state == "failed" else replace(model, state="unloaded")
                merged[model.id] = _merged(merged[model.id], seen) if model.id in merged else seen
        return cls(tuple(merged.values()), reached, tuple(gpus))

    def check_reached(self) -> None:
        """Raise `ModelUnavailable` before any server was reached."""
        if not self.reached:
            raise ModelUnavailable("no Triton server was reached yet; try again")

    def of_kind(self, kind: Kind) -> list[ServedModel]:
        """Return the models of one kind."""
        return [model for model in self.models if model.kind == kind]

    def resolve(self, name: str | None, kind: Kind | None = None) -> ServedModel:
        """Return the model with this id or alias, in whatever state.

        For an alias it is the model with the lowest rank; among equals, one that is ready. For None it is the first
        that is ready, and needs no voice of the request's own. Raises `ModelNotFound` with the names that are served,
        `InvalidInput` for an empty name, and `ModelUnavailable` if no server was reached.
        """
        if name is not None and not name.strip():
            raise InvalidInput("model", "it is empty; send a model's name, or leave it out")
        self.check_reached()
        models = self.of_kind(kind) if kind else list(self.models)
        if name is None and models:
            return min(models, key=lambda model: (model.mode in _NEED_A_VOICE, model.state != "ready"))
        wanted = name or ""
        for model in models:
            if model.id == wanted:
                return model
        known = [model for model in models if wanted in model.aliases]
        if known:
            return min(known, key=lambda model: (model.aliases[wanted], model.state != "ready", model.id))
        raise ModelNotFound(_not_found(wanted, kind, models))

    def first(self, names: Iterable[str], kind: Kind) -> ServedModel:
        """Return the model of the first of these names that is served. Raises as `resolve` does."""
        *others, last = names
        for name in others:
            with suppress(ModelNotFound):
                return self.resolve(name, kind)
        return self.resolve(last, kind)


def _merged(one: ServedModel, other: ServedModel) -> ServedModel:
    best, rest = sorted((one, other), key=lambda model: _BEST_FIRST.index(model.state))
    return replace(
        best,
        aliases={
            alias: min(model.aliases[alias] for model in (one, other) if alias in model.aliases)
            for alias in (*one.aliases, *other.aliases)
        },
        description=best.description or rest.description,
        created=min(filter(None, (one.created, other.created)), default=0),
    )


def _not_found(name: str, kind: Kind | None, models: Iterable[ServedModel]) -> str:
    models = list(models)
    if not models:
        return f"no {kind} model is served here" if kind else "no model is served here"
    names = dict.fromkeys((*(model.id for model in models), *(alias for model in models for alias in model.aliases)))
    return f"no {f'{kind} ' if kind else ''}model {name!r} is served; choose from: {', '.join(names)}"
