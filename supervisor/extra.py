"""Further checkpoints beside the catalogue's: what EXTRA_MODELS names, and which known model each is like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from adapters.qwen3_tts.checkpoint import Checkpoint, UnusableCheckpointError
from supervisor.environments import ROOT
from supervisor.settings import Settings
from tritone.catalogue import Catalogue, UnknownModelError

_CHECKPOINT = re.compile(r'key:\s*"checkpoint"\s*value:?\s*\{\s*string_value:\s*"([^"]+)"')


def find(settings: Settings, repository: Path) -> dict[str, Path]:
    """The checkpoint's folder of each model of EXTRA_MODELS.

    One without a folder is a model that the user made in the repository, whose parameter `checkpoint` names it. Raises
    `UnknownModelError` where there is neither.
    """
    return {
        id_: ROOT / Path(folder).expanduser() if folder else _by_hand(id_, settings.model_dir, repository)
        for id_, folder in settings.extra_models.items()
    }


def alike(checkpoints: Mapping[str, Path], catalogue: Catalogue) -> dict[str, str]:
    """The known model that each is like, by the mode and size in its config.json; raises `UnknownModelError`."""
    known = {(model.mode, model.size): model.id for model in catalogue.models.values()}
    found: dict[str, str] = {}
    for id_, folder in checkpoints.items():
        try:
            checkpoint = Checkpoint.read(folder)
            found[id_] = known[checkpoint.mode, checkpoint.size]
        except UnusableCheckpointError as error:
            raise UnknownModelError(f"EXTRA_MODELS: {id_}: {error}") from None
        except KeyError:
            what = f"a {checkpoint.mode} model of {checkpoint.size}"
            raise UnknownModelError(f"EXTRA_MODELS: {id_}: {folder} holds {what}, which is not served") from None
    return found


def _by_hand(id_: str, model_dir: Path, repository: Path) -> Path:
    config = repository / id_ / "config.pbtxt"
    named = _CHECKPOINT.search(config.read_text(encoding="utf-8")) if config.exists() else None
    if named is None:
        raise UnknownModelError(
            f"EXTRA_MODELS: {id_} names no folder, and {config} has no parameter `checkpoint`: set {id_}=FOLDER"
        )
    return model_dir / named[1]
