"""The served document of a run, written to a file at every change; the `tritone` model sends it to gateways."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from supervisor import console
from supervisor.plan import Plan
from tritone.families import Model
from tritone.served import Description, GpuMemory, ModelState, ServedDocument, ServedModel, ServerState

_RETRY_SECONDS: Final = 1.0
"""Between two tries to write to a full disk."""


class DocumentWriter:
    """Holds the document of one run, and writes each version atomically."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self._models = {model.id: _loading(model, plan) for model in plan.models}
        self._expected: dict[str, ServedModel] = {}
        """Models that are not in the document until they are ready."""
        self._state: ServerState = "starting"
        self._gpus: tuple[GpuMemory, ...] = ()
        # Unix seconds, so that a client that waits for a change does not take this run's version for an earlier run's.
        self._version = int(time.time())
        self._save()

    def set_server(self, state: ServerState) -> None:
        """Change the server's state."""
        self._state = state
        self._write()

    def set_gpus(self, gpus: tuple[GpuMemory, ...]) -> None:
        """Change the memory of the GPUs."""
        if gpus != self._gpus:
            self._gpus = gpus
            self._write()

    def expect(self, model: Model, plan: Plan) -> None:
        """Add a model of `plan` to the document as soon as it is ready."""
        self._expected[model.id] = _loading(model, plan)

    def remove_model(self, id_: str) -> None:
        """Remove a model from the document, if it is there."""
        self._expected.pop(id_, None)
        if self._models.pop(id_, None):
            self._write()

    def set_model(self, id_: str, state: ModelState, description: Description | None = None) -> None:
        """Change a model's state, and its description if one is given. An id that is not chosen is ignored."""
        if state == "ready" and id_ in self._expected:
            self._models[id_] = self._expected.pop(id_)
        if id_ not in self._models:
            return  # companions are loaded, but not served to gateways
        known = self._models[id_]
        created = known.created or (int(time.time()) if state == "ready" else 0)
        loads = known.loads + (state == "ready" and known.state != "ready")
        self._models[id_] = replace(
            known, state=state, description=description or known.description, created=created, loads=loads
        )
        self._write()

    def lose_model(self, id_: str, *, every_call: bool) -> None:
        """Make a model `loading` after the death of a process; `every_call` says that all its open calls are lost."""
        if known := self._models.get(id_):
            lost = known.loads if every_call else known.lost_loads
            self._models[id_] = replace(known, state="loading", lost_loads=lost)
            self._write()

    def lose_server(self) -> None:
        """Make the server `starting` and all models `loading` after the death of Triton; all open calls are lost."""
        self._state = "starting"
        self._models = {
            id_: replace(known, state="loading", lost_loads=known.loads) for id_, known in self._models.items()
        }
        self._write()

    def _write(self) -> None:
        self._version += 1
        try:
            self._save()
        except OSError as error:
            console.error(f"gateways do not learn of a change until the disk has room: {error.strerror}: {self.path}")
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._save_again)

    def _save_again(self) -> None:
        with suppress(FileNotFoundError):  # the run is over, and its folder was removed
            try:
                self._save()
            except OSError as error:
                if error.errno not in console.DISK_ERRORS:
                    raise
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._save_again)

    def _save(self) -> None:
        document = ServedDocument(self._state, tuple(self._models.values()), self._version, self._gpus)
        fresh = self.path.with_name(f".{self.path.name}")
        fresh.write_text(document.to_json(), encoding="utf-8")
        os.replace(fresh, self.path)


def _loading(model: Model, plan: Plan) -> ServedModel:
    return ServedModel(
        model.id,
        model.kind,
        model.mode,
        model.owner,
        "loading",
        aliases=plan.catalogue.ranks(model.id),
        voice_aliases=model.voice_aliases,
        idle_seconds=plan.settings.idle_seconds(model.id),
    )


def read_document(path: Path) -> ServedDocument | None:
    """Return the document in a file; None if there is none."""
    try:
        return ServedDocument.from_json(path.read_bytes())
    except FileNotFoundError:
        return None
