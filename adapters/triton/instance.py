"""The instance of a model: its device, its folder and the parameters of its config."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tritone.families import ROOT, Family, Model
from tritone.settings import CPU_THREADS, MODEL_DIR, RUN_FOLDER

TEMPLATE = "template"
"""The config parameter of a further checkpoint that names the model that it is like."""


@dataclass(frozen=True)
class Instance:
    """One instance of a model, as Triton's `initialize` arguments and the server's environment describe it."""

    model: str
    """The model's id."""
    device: str
    """`cpu` or `cuda`."""
    device_index: int
    folder: Path
    """The checkpoint's folder: MODEL_DIR/<id>."""
    threads: int
    """CPU threads that one computation may use (CPU_THREADS, by default every core)."""
    parameters: Mapping[str, str]
    """The `parameters` of config.pbtxt."""
    run_folder: Path | None = None
    """The folder of the supervisor's run; None on a Triton without supervisor."""

    @classmethod
    def from_args(cls, args: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Instance:
        """Read the arguments of `TritonPythonModel.initialize`."""
        config = json.loads(args["model_config"])
        model = args["model_name"]
        run = environ.get(RUN_FOLDER)
        return cls(
            model=model,
            device="cuda" if args["model_instance_kind"] == "GPU" else "cpu",
            device_index=int(args["model_instance_device_id"]),
            folder=(ROOT / Path(MODEL_DIR.read(environ)).expanduser()).resolve() / model,
            threads=CPU_THREADS.read(environ) or len(os.sched_getaffinity(0)),
            parameters={name: entry["string_value"] for name, entry in config.get("parameters", {}).items()},
            run_folder=Path(run) if run else None,
        )

    @property
    def model_dir(self) -> Path:
        """The folder of all weights, MODEL_DIR."""
        return self.folder.parent

    def entry_in(self, family: Family) -> Model:
        """Return the family's entry for this model.

        For a further checkpoint it is the entry of the model that the config parameter `template` names, or the
        family's first.
        """
        known = family.models
        id_ = self.model if self.model in known else self.parameters.get(TEMPLATE, "")
        return known.get(id_) or next(iter(known.values()))
