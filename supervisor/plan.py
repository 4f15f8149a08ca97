"""What is to be served, and with what: the settings, come to a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from supervisor import extra, gpus
from supervisor.environments import ROOT
from supervisor.fitting import fit, without_gpu
from supervisor.memory import Arena, EngineMemory
from supervisor.settings import Settings, inherited
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
    like: Mapping[str, str] = field(default_factory=dict)
    """A further model's id -> the id of the catalogue's model that it is like."""
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    """A further model's id -> its checkpoint's folder."""
    compute_type: str = ""
    """WHISPER_COMPUTE_TYPE, where the GPU's memory decides it."""
    arena: Arena | None = None
    """QWEN_SLOTS and QWEN_KV_POSITIONS, where the GPU's memory decides them."""
    fitted: bool = False
    """Whether the GPU's memory chose any of the models."""
    notes: Sequence[str] = ()
    """What a person should know of the choice, a line each."""

    @classmethod
    def make(cls, settings: Settings, repository: Path = REPOSITORY) -> Plan:
        """What the settings ask for, and where they ask for nothing, what the machine can.

        Made once a run: the models that it loads take of the memory that is looked at here. Raises `UnknownModelError`
        and `UnusableSettingError`.
        """
        catalogue = Catalogue.load()
        checkpoints = extra.find(settings, repository)
        like = extra.alike(checkpoints, catalogue)
        catalogue = catalogue.with_extra(like, {id_: str(folder) for id_, folder in checkpoints.items()})
        environ = inherited()
        visible = None if settings.device == "cpu" else gpus.visible(environ)
        device = choose_device(settings, visible, environ)
        further = [catalogue.models[id_] for id_ in like]
        if device == "cuda" and visible:
            compute_type = environ.get("WHISPER_COMPUTE_TYPE", "").lower()
            engine = EngineMemory.read(environ)
            found = fit(catalogue, settings, visible, further=further, compute_type=compute_type, engine=engine)
            if not found.fits and settings.device == "auto" and not found.asked:
                device = "cpu"
                found = without_gpu(catalogue, settings, *found.notes, "the models run on the CPU")
        else:
            untold = "nvidia-smi tells nothing of the GPU: no model is fitted to its memory"
            none = "warning: DEVICE=cuda, and no GPU can be seen"
            notes = [untold if visible is None else none] if device == "cuda" else []
            found = without_gpu(catalogue, settings, *notes)
        plan = cls(settings, catalogue, device, [], repository, like=like, checkpoints=checkpoints)
        models = plan._and_further(found.models)
        if not models:
            raise UnknownModelError("TTS_MODES and STT_MODELS choose no model at all")
        if unknown := settings.model_instances.keys() - {model.id for model in models}:
            raise UnknownModelError(f"MODEL_INSTANCES: not served: {', '.join(sorted(unknown))}")
        fitted = device == "cuda" and not ((settings.tts_modes or settings.model_type) and settings.stt_models)
        arena = found.arena if device == "cuda" else None
        decided = replace(plan, models=models, compute_type=found.compute_type, arena=arena)
        return replace(decided, fitted=fitted, notes=found.notes)

    def with_embedded_defaults(self) -> Plan:
        """This plan with the defaults of a machine without GPU in place of the models that no setting asks for."""
        settings = self.settings
        models = self.catalogue.choose(settings.tts_modes, settings.stt_models, model_type=settings.model_type)
        return replace(self, models=self._and_further(models), compute_type="", arena=None, fitted=False)

    @property
    def environments(self) -> list[str]:
        """Those that the parts run in, each once."""
        names = [model.environment for model in self.models]
        names += ["gateway"] * self.settings.gateway
        names += ["triton"] * (self.settings.installed_triton is None)
        return list(dict.fromkeys(names))

    def variables(self) -> dict[str, str]:
        """The environment variables of every process: `.env`'s, our own, and what the settings come to."""
        settled = {
            "MODEL_DIR": str(self.settings.model_dir),
            "TTS_MODES": self._chosen("speech"),
            "STT_MODELS": self._chosen("transcription"),
            "TRITON_GRPC_URL": self.settings.triton_grpc_address,
        }
        if self.like:
            settled["EXTRA_MODELS_LIKE"] = ",".join(f"{id_}={twin}" for id_, twin in self.like.items())
        if self.compute_type:
            settled["WHISPER_COMPUTE_TYPE"] = self.compute_type
        if self.arena:
            settled |= {"QWEN_SLOTS": str(self.arena.slots), "QWEN_KV_POSITIONS": str(self.arena.positions)}
        # CUDA_VISIBLE_DEVICES counts GPUs as nvidia-smi does, not by their speed.
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **inherited(), **settled}

    def _and_further(self, models: Sequence[Model]) -> list[Model]:
        """The models and the further ones, in the catalogue's order."""
        chosen = {model.id for model in models} | self.like.keys()
        return [model for model in self.catalogue.models.values() if model.id in chosen]

    def _chosen(self, kind: str) -> str:
        return ",".join(model.id for model in self.models if model.kind == kind) or "none"


def choose_device(settings: Settings, visible: Sequence[gpus.Gpu] | None, environ: Mapping[str, str]) -> Device:
    """The device that DEVICE names; for `auto` the GPU, where there is one that CUDA_VISIBLE_DEVICES does not hide."""
    if settings.device != "auto":
        return settings.device
    there = gpus.present() if visible is None else bool(visible)
    return "cuda" if there and not gpus.hidden(environ) else "cpu"
