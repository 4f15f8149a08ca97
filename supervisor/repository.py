"""The model repository of one run: a folder for each model that is served, configured as the settings want it."""

from __future__ import annotations

import re
from pathlib import Path

from supervisor.plan import Plan

_NAME = re.compile(r'^name:\s*"[^"]*"', re.MULTILINE)
_COUNT = re.compile(r"\bcount:\s*\d+")
_CLONE = "$$TRITON_MODEL_DIRECTORY/../.."
"""What a configuration calls the clone, as seen from the model's folder in it."""


def lay_out(folder: Path, plan: Plan) -> Path:
    """Make the repository below `folder`: configurations written anew, code by links."""
    repository = folder / "model_repository"
    for model in plan.models:
        for name in model.served:
            source = plan.repository / name
            if not source.is_dir():
                source = plan.repository / (plan.like[model.id] + name.removeprefix(model.id))
            target = repository / name
            (target / "configs").mkdir(parents=True)
            for version in source.glob("[0-9]*"):
                (target / version.name).symlink_to(version)
            for config in (source / "config.pbtxt", *(source / "configs").glob("*.pbtxt")):
                text = configured(config.read_text(encoding="utf-8"), name, plan)
                (target / config.relative_to(source)).write_text(text, encoding="utf-8")
    return repository


def configured(config: str, model: str, plan: Plan) -> str:
    """A model's config.pbtxt for this run: its name, the paths, the number of instances and a further checkpoint."""
    config = _NAME.sub(f'name: "{model}"', config).replace(_CLONE, str(plan.repository.parent))
    if count := plan.settings.model_instances.get(model):
        config = _COUNT.sub(f"count: {count}", config)
    if plan.settings.extra_models.get(model):
        checkpoint = str(plan.checkpoints[model]).replace("\\", "\\\\").replace('"', '\\"')
        config += f'\nparameters {{ key: "checkpoint" value {{ string_value: "{checkpoint}" }} }}\n'
    return config
