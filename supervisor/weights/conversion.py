"""Checkpoints in a format that their family cannot load, converted once; a family's `[conversion]` describes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from supervisor.cache import BuildError
from supervisor.environments import ROOT, Environment, clean_environment
from supervisor.weights import manifest
from supervisor.weights.errors import FetchError
from supervisor.weights.progress import Progress
from tritone.conversion import Conversion
from tritone.families import Family


def needed(folder: Path) -> bool:
    """Return whether `folder` holds a checkpoint that must be converted."""
    return _family_of(folder) is not None


def unconverted(folder: Path, model_dir: Path) -> list[Path]:
    """Return the file that the conversion of `folder` would make; [] if it exists, or none is needed."""
    if (found := _family_of(folder)) is None:
        return []
    _, conversion = found
    result = conversion.folder_of(folder, model_dir) / conversion.result
    return [] if result.exists() else [result]


def convert(folder: Path, model_dir: Path, progress: Progress) -> None:
    """Convert the checkpoint in `folder` into MODEL_DIR/cache, unless that is done.

    Raises `FetchError` for a folder without such a checkpoint, and with the last line of a converter that fails.
    """
    if (found := _family_of(folder)) is None:
        raise FetchError(f"{folder} holds no checkpoint that needs a conversion")
    family, conversion = found
    target = conversion.folder_of(folder, model_dir)
    if (target / conversion.result).exists():
        return
    progress.info(f"{folder}: converting to {conversion.target} (some minutes for a large checkpoint)")
    try:
        environment = Environment(conversion.environment)
        environment.ensure()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
            result = Path(scratch) / "result"
            module = family.module(conversion.module)
            command = [str(environment.python), "-m", module, str(folder.absolute()), str(result)]
            variables = clean_environment() | {"PYTHONPATH": os.pathsep.join({str(ROOT), str(family.import_root)})}
            done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, check=False)
            if done.returncode:
                lines = done.stderr.decode(errors="replace").splitlines()
                texts = [line.strip() for line in lines if line.strip()]
                raise FetchError(f"{folder} cannot be converted: {texts[-1] if texts else f'status {done.returncode}'}")
            shutil.rmtree(target, ignore_errors=True)
            result.replace(target)
    except (BuildError, OSError) as error:
        raise FetchError(f"{folder} cannot be converted: {error}") from error
    progress.info(f"{folder}: converted, in {target}")


def _family_of(folder: Path) -> tuple[Family, Conversion] | None:
    """Return the family that must convert the checkpoint in `folder`, and its conversion."""
    for family in manifest.families():
        if family.conversion and family.conversion.applies_to(folder):
            return family, family.conversion
    return None
