"""Where an instance of a model runs, and where its files are."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.settings import CPU_THREADS


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

    @classmethod
    def from_args(cls, args: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Instance:
        """Read what Triton hands to `TritonPythonModel.initialize`."""
        config = json.loads(args["model_config"])
        model = args["model_name"]
        return cls(
            model=model,
            device="cuda" if args["model_instance_kind"] == "GPU" else "cpu",
            device_index=int(args["model_instance_device_id"]),
            folder=Path(environ.get("MODEL_DIR", "models")).resolve() / model,
            threads=CPU_THREADS.read(environ) or len(os.sched_getaffinity(0)),
            parameters={name: entry["string_value"] for name, entry in config.get("parameters", {}).items()},
        )
