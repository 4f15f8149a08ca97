"""Checkpoints that the operator names: find the known model that a checkpoint is like, by its config.json."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tritone.catalogue import Catalogue
from tritone.families import ROOT, Family, Model


class UnusableCheckpointError(Exception):
    """A folder holds no checkpoint, or one of a wrong type; the message names both types."""


def template_of(folder: Path, known: Catalogue | Family) -> Model:
    """Return the known model that the checkpoint in `folder` is like; raises `UnusableCheckpointError`."""
    config = _config(folder)
    for model in known.models.values():
        if model.recognized_by and all(config.get(key) == value for key, value in model.recognized_by.items()):
            return model
    keys = dict.fromkeys(key for model in known.models.values() for key in model.recognized_by)
    found = ", ".join(f"{key}={config[key]!r}" for key in keys if key in config) or "no known model type"
    raise UnusableCheckpointError(f"{folder / 'config.json'} says {found}; no known model is like it")


def by_setting(model: Model, known: Catalogue | Family, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder that a setting names for `model`; None if no setting does.

    A setting that several models share applies to the one that the checkpoint is like. Raises
    `UnusableCheckpointError` for a checkpoint that is like none of those that share the setting.
    """
    for setting in model.path_settings:
        if path := environ.get(setting):
            folder = ROOT / Path(path).expanduser()
            template = template_of(folder, known)
            if template.id == model.id:
                return folder
            if setting not in template.path_settings:
                raise UnusableCheckpointError(f"{setting}={path} holds a model like {template.id}, not {model.id}")
    return None


def _config(folder: Path) -> Mapping[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnusableCheckpointError(f"{path} is missing; put a checkpoint there") from None
    except (OSError, ValueError) as error:
        raise UnusableCheckpointError(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise UnusableCheckpointError(f"{path} is not a JSON object")
    return config
