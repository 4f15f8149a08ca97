"""What is to be served, and with what: the settings, come to a decision."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values

from supervisor.environments import ROOT
from supervisor.settings import ENV_FILE, Settings, reachable
from tritone.catalogue import Catalogue, Model, UnknownModelError

Device = Literal["cpu", "cuda"]

REPOSITORY = ROOT / "model_repository"
GATEWAY = (str(ROOT / "envs" / "gateway" / "bin" / "python"), "-m", "gateway")


@dataclass(frozen=True)
class Plan:
    """The chosen models, where they run, and the parts around them."""

    settings: Settings
    catalogue: Catalogue
    device: Device
    models: Sequence[Model]
    repository: Path = REPOSITORY
    gateway: Sequence[str] = GATEWAY

    @classmethod
    def make(cls, settings: Settings) -> Plan:
        """What the settings ask for. Raises `UnknownModelError`."""
        catalogue = Catalogue.load()
        device = choose_device(settings)
        defaults = device if device in catalogue.defaults else "cpu"
        models = catalogue.choose(settings.tts_modes, settings.stt_models, defaults, model_type=settings.model_type)
        if not models:
            raise UnknownModelError("TTS_MODES and STT_MODELS choose no model at all")
        return cls(settings, catalogue, device, models)

    @property
    def environments(self) -> list[str]:
        """Those that the parts run in, each once."""
        names = [model.environment for model in self.models]
        names += ["gateway"] * self.settings.gateway
        names += ["triton"] * (self.settings.installed_triton is None)
        return list(dict.fromkeys(names))

    def variables(self) -> dict[str, str]:
        """The environment variables of every process: `.env`'s, our own, and what the settings come to."""
        from_file = {name: value for name, value in dotenv_values(ENV_FILE).items() if value}
        settled = {
            "MODEL_DIR": str(self.settings.model_dir),
            "TTS_MODES": self._chosen("speech"),
            "STT_MODELS": self._chosen("transcription"),
            "TRITON_GRPC_URL": f"{reachable(self.settings.triton_host)}:{self.settings.triton_grpc_port}",
        }
        return {**from_file, **os.environ, **settled}

    def _chosen(self, kind: str) -> str:
        return ",".join(model.id for model in self.models if model.kind == kind) or "none"


def choose_device(settings: Settings) -> Device:
    """The device that DEVICE names; for `auto` the GPU, where this machine or container was given one."""
    if settings.device != "auto":
        return settings.device
    return "cuda" if any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists() else "cpu"
