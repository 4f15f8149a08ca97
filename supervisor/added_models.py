"""The models below MODEL_DIR/finetuned in one run: prepared for their load, and removed after their unload."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from supervisor import preparation
from supervisor.finetuned import Checkpoint
from supervisor.plan import Plan
from supervisor.repository import lay_out_model, remove_model
from supervisor.served_document import DocumentWriter
from tritone.families import Model

Build = Callable[[Plan], Awaitable[None]]
"""Builds the environments of a plan that are missing; raises `StartError`."""


class AddedModels:
    """The models of the checkpoints, in the repository and the document of one run."""

    def __init__(self, plan: Plan, document: DocumentWriter, build: Build = preparation.build) -> None:
        self._plan = plan
        self._build = build
        self._document = document
        self.known: dict[str, Checkpoint] = {}
        """The checkpoints that were loaded, and those that could not be: these are tried again when they change."""
        self.models: dict[str, Model] = {}
        """The models that are loaded, by id."""

    @property
    def model_dir(self) -> Path:
        """The folder of all weights, MODEL_DIR."""
        return self._plan.settings.model_dir

    def idle_seconds(self, id_: str) -> float:
        """Return the seconds after which a model is idle; 0: never."""
        return self._plan.settings.idle_seconds(id_)

    async def prepare(self, id_: str, checkpoint: Checkpoint) -> Model:
        """Return the checkpoint's model, ready to be loaded: its environment is built, and its configuration written.

        Raises `UnknownModelError`, `UnusableCheckpointError`, and `StartError` if the environment cannot be built.
        """
        self.known[id_] = checkpoint
        plan = self._plan.with_checkpoint(id_, checkpoint.folder)
        model = plan.models[-1]
        await self._build(replace(plan, models=[model], added=()))
        lay_out_model(self._document.path.parent, model, plan)
        self._document.expect(model, plan)
        self.models[id_] = model
        return model

    def fail(self, id_: str) -> None:
        """Record that a model could not be loaded."""
        if model := self.models.get(id_):
            self.remove(model)

    def forget(self, id_: str) -> None:
        """Record that a checkpoint is gone, and tell the gateways; its model is still to be unloaded."""
        self.known.pop(id_, None)
        self._document.remove_model(id_)

    def remove(self, model: Model) -> None:
        """Remove a model that is not loaded any more."""
        self._document.remove_model(model.id)
        remove_model(self._document.path.parent, model)
        del self.models[model.id]
