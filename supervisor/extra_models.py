"""Checkpoints beside the catalogue's: those that EXTRA_MODELS names, and the known model that each is like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from supervisor.environments import ROOT
from supervisor.settings import Settings
from tritone.catalogue import Catalogue, UnknownModelError
from tritone.checkpoints import UnusableCheckpointError, template_of

_CHECKPOINT = re.compile(r'key:\s*"checkpoint"\s*value:?\s*\{\s*string_value:\s*"([^"]+)"')


def find(settings: Settings, repository: Path) -> dict[str, Path]:
    """Return the checkpoint's folder of each model of EXTRA_MODELS.

    A model without a folder in the setting is one that the operator made in the repository; its parameter `checkpoint`
    names the folder. Raises `UnknownModelError` if there is neither.
    """
    return {
        id_: ROOT / Path(folder).expanduser() if folder else _from_repository(id_, settings.model_dir, repository)
        for id_, folder in settings.extra_models.items()
    }


def templates(checkpoints: Mapping[str, Path], catalogue: Catalogue) -> dict[str, str]:
    """Return the id of the known model that each checkpoint is like; raises `UnknownModelError`."""
    found: dict[str, str] = {}
    for id_, folder in checkpoints.items():
        try:
            found[id_] = template_of(folder, catalogue).id
        except UnusableCheckpointError as error:
            raise UnknownModelError(f"EXTRA_MODELS: {id_}: {error}") from None
    return found


def _from_repository(id_: str, model_dir: Path, repository: Path) -> Path:
    config = repository / id_ / "config.pbtxt"
    found = _CHECKPOINT.search(config.read_text(encoding="utf-8")) if config.exists() else None
    if found is None:
        raise UnknownModelError(
            f"EXTRA_MODELS: {id_} names no folder, and {config} has no parameter `checkpoint`: set {id_}=FOLDER"
        )
    return model_dir / found[1]
