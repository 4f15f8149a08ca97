"""The plan of a run: the models, the device and the environments that the settings lead to on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from supervisor import extra_models, finetuned, gpus
from supervisor.environments import ROOT
from supervisor.model_selection import Selection, select_for_cpu, select_for_gpu
from supervisor.settings import Settings, inherited
from tritone.catalogue import Catalogue, UnknownModelError
from tritone.checkpoints import UnusableCheckpointError, template_of
from tritone.families import Family, Model

Device = Literal["cpu", "cuda"]

REPOSITORY = ROOT / "model_repository"

_QUEUE_URL = re.compile(r"AWS_SQS_[A-Z]+_QUEUE_URL")


@dataclass(frozen=True)
class Plan:
    """The chosen models, the device that they run on, and the parts around them."""

    settings: Settings
    catalogue: Catalogue
    device: Device
    models: Sequence[Model]
    repository: Path = REPOSITORY
    gateway: Sequence[str] = ()
    """Its command, as those of its workers."""
    worker: Sequence[str] = ()
    queue_worker: Sequence[str] = ()
    templates: Mapping[str, str] = field(default_factory=dict)
    """An extra model's id -> the id of the catalogue's model that it is like."""
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    """An extra model's id -> its checkpoint's folder."""
    added: Sequence[Model] = ()
    """The models below MODEL_DIR/finetuned at the time of the plan; they are loaded after the chosen ones."""
    decided: Mapping[str, str] = field(default_factory=dict)
    """Settings of the families that the GPU's memory decides, by name."""
    fitted: bool = False
    """True if the GPU's memory chose any of the models."""
    notes: Sequence[str] = ()
    """Lines about the choice for the operator."""

    @classmethod
    def make(cls, settings: Settings, repository: Path = REPOSITORY) -> Plan:
        """Return the plan that the settings require, completed by what this machine can run.

        A run makes it once: the models that it loads take part of the memory that is measured here. Raises
        `UnknownModelError`, `UnusableSettingError` and `FamilyFileError`.
        """
        environ = inherited()
        catalogue = Catalogue.load(environ)
        checkpoints = extra_models.find(settings, repository)
        templates = extra_models.templates(checkpoints, catalogue)
        catalogue = catalogue.with_extra(templates, {id_: str(folder) for id_, folder in checkpoints.items()})
        python = str(ROOT / "envs" / settings.gateway_environment / "bin" / "python")
        plan = cls(
            settings,
            catalogue,
            "cpu",
            [],
            repository,
            gateway=(python, "-m", "gateway"),
            worker=(python, "-m", "gateway.jobs"),
            queue_worker=(python, "-m", "gateway.queue_worker"),
            templates=templates,
            checkpoints=checkpoints,
        )
        added = plan._added()
        extra = [*(catalogue.models[id_] for id_ in templates), *added]
        device, selection = _select(settings, catalogue, extra, environ)
        models = plan._with_extra(selection.models)
        served = {model.id for model in (*models, *added)}
        if not served:
            raise UnknownModelError("TTS_MODES and STT_MODELS choose no model")
        if unknown := settings.model_instances.keys() - served:
            raise UnknownModelError(f"MODEL_INSTANCES: not served: {', '.join(sorted(unknown))}")
        if unknown := settings.idle_timeout.keys() - {"", *served}:
            raise UnknownModelError(f"IDLE_TIMEOUT: not served: {', '.join(sorted(unknown))}")
        fitted = device == "cuda" and not ((settings.tts_modes or settings.model_type) and settings.stt_models)
        return replace(
            plan,
            device=device,
            models=models,
            added=added,
            decided=selection.variables,
            fitted=fitted,
            notes=selection.notes,
        )

    def with_embedded_defaults(self) -> Plan:
        """Return this plan with the defaults of a machine without GPU instead of the models that no setting chooses."""
        settings = self.settings
        models = self.catalogue.choose(settings.tts_modes, settings.stt_models, model_type=settings.model_type)
        return replace(self, models=self._with_extra(models), decided={}, fitted=False)

    def with_checkpoint(self, id_: str, folder: Path) -> Plan:
        """Return this plan with the checkpoint in `folder` as the last of its models, under the name `id_`.

        Raises `UnknownModelError` for a name that is taken, and `UnusableCheckpointError`.
        """
        if id_ in self.catalogue.models or id_ in self.catalogue.aliases:
            raise UnknownModelError(f"the name {id_!r} is already in use: rename the folder")
        templates = {id_: template_of(folder, self.catalogue).id}
        catalogue = self.catalogue.with_extra(templates, {id_: str(folder)})
        return replace(
            self,
            catalogue=catalogue,
            models=[*self.models, catalogue.models[id_]],
            templates={**self.templates, **templates},
            checkpoints={**self.checkpoints, id_: folder},
        )

    @property
    def loaded(self) -> list[Model]:
        """The models that Triton loads: the chosen ones, and their companions."""
        return [*self.models, *self.catalogue.companions_of(self.models)]

    @property
    def families(self) -> list[Family]:
        """The families of the chosen models."""
        return [self.catalogue.families[name] for name in dict.fromkeys(model.family for model in self.models)]

    @property
    def environments(self) -> list[str]:
        """The environments of all parts, each once."""
        names = [model.environment_on(self.device) for model in (*self.loaded, *self.added)]
        names += [self.settings.gateway_environment] * self.settings.gateway
        names += ["triton"] * (self.settings.installed_triton is None)
        return list(dict.fromkeys(names))

    @property
    def takes_messages(self) -> bool:
        """Whether there are queues of SQS with messages for the gateway's jobs."""
        return any(value and _QUEUE_URL.fullmatch(name) for name, value in inherited().items())

    def variables(self) -> dict[str, str]:
        """Return the environment variables of every process: those of `.env`, our own, and the plan's decisions."""
        settled = {
            "MODEL_DIR": str(self.settings.model_dir),
            "TRITON_GRPC_URL": self.settings.triton_grpc_address,
            "JOBS": str(self.settings.jobs).lower(),
            **self.decided,
        }
        # By default CUDA orders GPUs by speed; nvidia-smi, and so CUDA_VISIBLE_DEVICES here, by their bus.
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **inherited(), **settled}

    def _added(self) -> list[Model]:
        """Return the models of the usable checkpoints below MODEL_DIR/finetuned; the loader reports the others."""
        found = []
        for id_, checkpoint in finetuned.scan(self.settings.model_dir).items():
            with suppress(UnknownModelError, UnusableCheckpointError):
                found.append(self.with_checkpoint(id_, checkpoint.folder).models[-1])
        return found

    def _with_extra(self, models: Sequence[Model]) -> list[Model]:
        """Return the models and the extra ones, in the catalogue's order."""
        chosen = {model.id for model in models} | self.templates.keys()
        return [model for model in self.catalogue.models.values() if model.id in chosen]


def choose_device(settings: Settings, visible: Sequence[gpus.Gpu] | None, environ: Mapping[str, str]) -> Device:
    """Return the device of DEVICE; for `auto` the GPU, if there is one that CUDA_VISIBLE_DEVICES does not hide."""
    if settings.device != "auto":
        return settings.device
    present = gpus.present() if visible is None else bool(visible)
    return "cuda" if present and not gpus.hidden(environ) else "cpu"


def _select(
    settings: Settings, catalogue: Catalogue, extra: Sequence[Model], environ: Mapping[str, str]
) -> tuple[Device, Selection]:
    visible = None if settings.device == "cpu" else gpus.visible(environ)
    device = choose_device(settings, visible, environ)
    if device == "cuda" and visible:
        selection = select_for_gpu(catalogue, settings, visible, extra=extra, environ=environ)
        if selection.fits or selection.requested or settings.device != "auto":
            return device, selection
        return "cpu", select_for_cpu(catalogue, settings, *selection.notes, "the models run on the CPU")
    unknown = "nvidia-smi reports no GPU memory: the default models of a CPU are served on the GPU"
    none = "warning: DEVICE=cuda, but no GPU is visible"
    notes = [unknown if visible is None else none] if device == "cuda" else []
    return device, select_for_cpu(catalogue, settings, *notes)
