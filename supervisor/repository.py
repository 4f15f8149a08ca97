"""The model repository of one run: a folder for each loaded model, configured by the settings."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from supervisor import model_config
from supervisor.environments import Environment
from supervisor.plan import Plan
from tritone.families import Model

REPOSITORY = "model_repository"
"""The repository, in the folder of the run."""
DOCUMENT = "served.json"
"""The served document, in the folder of the run."""
_NAME = re.compile(r'^name:\s*"[^"]*"', re.MULTILINE)
_COUNT = re.compile(r"\bcount:\s*\d+")


def lay_out(folder: Path, plan: Plan) -> Path:
    """Create the repository below `folder`: configurations are rewritten, code is linked or generated."""
    for model in plan.loaded:
        lay_out_model(folder, model, plan)
    return folder / REPOSITORY


def lay_out_model(folder: Path, model: Model, plan: Plan) -> None:
    """Create a model's folder in the repository below `folder`, in place of one that is there."""
    target = folder / REPOSITORY / model.id
    remove_model(folder, model)
    (target / "configs").mkdir(parents=True)
    for path, text in _configurations(model, plan).items():
        (target / path).write_text(configured(text, model, plan, folder / DOCUMENT), encoding="utf-8")
    _add_code(target, model, plan)


def remove_model(folder: Path, model: Model) -> None:
    """Remove a model's folder from the repository below `folder`, if it is there."""
    shutil.rmtree(folder / REPOSITORY / model.id, ignore_errors=True)


def configured(config: str, model: Model, plan: Plan, document: Path) -> str:
    """Return a model's config.pbtxt for this run: its name, its paths, its instances and its parameters."""
    # The folder behind the link: another start in this clone may point the link at another Python's.
    environment = str(Environment(model.environment_on(plan.device)).folder)
    config = config.replace(f"{model_config.CLONE}/envs/{model.environment}", environment)
    config = _NAME.sub(f'name: "{model.id}"', config).replace(model_config.CLONE, str(plan.repository.parent))
    if count := plan.settings.model_instances.get(model.id):
        config = _COUNT.sub(f"count: {count}", config)
    parameters = {}
    if template := plan.templates.get(model.id):
        parameters["template"] = template
    if model.id in plan.checkpoints and plan.settings.extra_models.get(model.id) != "":
        parameters["checkpoint"] = str(plan.checkpoints[model.id])
    if model.kind == "companion":
        parameters["document"] = str(document)
    return config + "".join(f"\n{model_config.parameter(name, value)}" for name, value in parameters.items())


def _configurations(model: Model, plan: Plan) -> dict[str, str]:
    if source := _source(model, plan):
        paths = (source / "config.pbtxt", *(source / "configs").glob("*.pbtxt"))
        return {str(path.relative_to(source)): path.read_text(encoding="utf-8") for path in paths}
    return {path: text for path, text in _generated(model, plan).items() if path.endswith(".pbtxt")}


def _add_code(target: Path, model: Model, plan: Plan) -> None:
    if source := _source(model, plan):
        for version in source.glob("[0-9]*"):
            (target / version.name).symlink_to(version)
        return
    for path, text in _generated(model, plan).items():
        if path.endswith(".py"):
            (target / path).parent.mkdir()
            (target / path).write_text(text, encoding="utf-8")


def _source(model: Model, plan: Plan) -> Path | None:
    """Return the folder of the model, or of its template, in the clone's repository; None for an extra family."""
    names = (model.id, plan.templates.get(model.id, model.id))
    return next((folder for name in names if (folder := plan.repository / name).is_dir()), None)


def _generated(model: Model, plan: Plan) -> dict[str, str]:
    return model_config.files(model, plan.catalogue.families[model.family])
