"""The models that a GPU has room for: the first of the catalogue's preferences that its free memory holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from supervisor.gpus import Gpu
from supervisor.settings import Settings
from tritone.catalogue import Catalogue, Model

SPARE = 0.5
"""GB beside what the models take: what the driver keeps for itself."""
SLOT = 0.7
"""GB that a stream of the Qwen3-TTS engine takes: 6144 positions of 112 KiB, and what goes with them."""
_MOST_SLOTS = 16
_FLOAT16_CAPABILITY = (7, 0)


@dataclass(frozen=True)
class Fit:
    """A choice of models for a GPU."""

    models: Sequence[Model]
    compute_type: str
    """WHISPER_COMPUTE_TYPE: as the settings say it, or as memory decides; empty where it is the adapter's to choose."""
    slots: int
    """QWEN_SLOTS: the streams that memory leaves room for; 0 where it is the engine's to choose."""
    fits: bool
    asked: bool
    """Whether the settings asked for any of it."""
    notes: Sequence[str]
    """What a person should know of the choice, a line each."""


@dataclass(frozen=True)
class _Candidate:
    models: Sequence[Model]
    int8: bool
    instances: Mapping[str, str]

    @property
    def needed(self) -> float:
        """GB, on each GPU."""
        taken = sum(model.needs(int8=self.int8) * int(self.instances.get(model.id, 1)) for model in self.models)
        return taken + SPARE if taken else 0.0

    @property
    def capability(self) -> tuple[int, ...]:
        return max((model.gpu_capability for model in self.models), default=(0, 0))

    def slots(self, gpu: Gpu) -> int:
        """Streams that each Qwen3-TTS model has room for beside all the models; one more is the engine's own."""
        engines = sum(int(self.instances.get(each.id, 1)) for each in self.models if each.environment == "qwen")
        if not engines:
            return 0
        return max(1, min(_MOST_SLOTS, int((gpu.free - self.needed) / engines / SLOT) - 1))

    def hindrance(self, gpu: Gpu) -> str:
        """Why it cannot run there; nothing if it can."""
        if self.capability > gpu.capability:
            needed, there = (".".join(map(str, each)) for each in (self.capability, gpu.capability))
            return f"compute capability {needed} needed, {there} there"
        return f"{self.needed:.1f} GB needed" if self.needed > gpu.free else ""

    def lacks(self, other: _Candidate) -> str:
        """What the other would have had in place of ours: models, or only more than int8."""
        others = [model for model in other.models if model not in self.models]
        return _ids(others) or f"{_ids(self._smaller)} in float16"

    @property
    def _smaller(self) -> list[Model]:
        return [model for model in self.models if self.int8 and model.gpu_memory_int8 is not None]

    def __str__(self) -> str:
        return _ids(self.models) + (f" ({_ids(self._smaller)} in int8)" if self._smaller else "")


def without_gpu(catalogue: Catalogue, settings: Settings, *notes: str) -> Fit:
    """The models that the settings choose, or the defaults of a CPU."""
    models = catalogue.choose(settings.tts_modes, settings.stt_models, model_type=settings.model_type)
    return Fit(models, "", 0, fits=True, asked=_asked(settings) != (False, False), notes=notes)


def fit(
    catalogue: Catalogue,
    settings: Settings,
    gpus: Sequence[Gpu],
    *,
    further: Sequence[Model] = (),
    compute_type: str = "",
) -> Fit:
    """The models that the settings choose, or the most preferred defaults that the GPUs have room for.

    Every GPU runs an instance of every model, so that the least free memory and the oldest generation decide; the
    `further` models run there too. `compute_type` is what WHISPER_COMPUTE_TYPE says. Where nothing fits, the last
    resort is chosen all the same, and `fits` tells.
    """
    gpu = replace(min(gpus, key=lambda each: each.free), capability=min(each.capability for each in gpus))
    asked = _asked(settings)
    speech = [settings.tts_modes] if asked[0] else catalogue.preferences["tts"]
    hearing = [settings.stt_models] if asked[1] else catalogue.preferences["stt"]
    weights = [compute_type.startswith("int8")] if compute_type else [False, True]
    candidates = []
    for tts, stt, int8 in product(speech, hearing, weights):
        models = catalogue.choose(tts, stt, model_type=settings.model_type)
        models += [model for model in further if model not in models]
        candidates.append(_Candidate(models, int8, settings.model_instances))
    chosen = next((each for each in candidates if not each.hindrance(gpu)), None)
    if chosen is None:
        chosen = candidates[0] if all(asked) else candidates[-1]
        note = f"warning: {chosen}: there may not be room on {gpu}: {chosen.hindrance(gpu)}"
        return Fit(chosen.models, "", chosen.slots(gpu), fits=False, asked=any(asked), notes=[note])
    notes = [_told(chosen, gpu, len(gpus))]
    if left_out := {chosen.lacks(each): each.hindrance(gpu) for each in candidates[: candidates.index(chosen)]}:
        notes.append("left out: " + "; ".join(f"{what} ({why})" for what, why in left_out.items()))
    if chosen.int8 and not compute_type:
        compute_type = "int8_float16" if gpu.capability >= _FLOAT16_CAPABILITY else "int8"
    return Fit(chosen.models, compute_type, chosen.slots(gpu), fits=True, asked=any(asked), notes=notes)


def _ids(models: Sequence[Model]) -> str:
    return ", ".join(model.id for model in models)


def _asked(settings: Settings) -> tuple[bool, bool]:
    """Whether the settings say which models speak, and which listen."""
    return bool(settings.tts_modes or settings.model_type), bool(settings.stt_models)


def _told(chosen: _Candidate, gpu: Gpu, count: int) -> str:
    where = f"on each of {count} GPUs, the fullest {gpu}" if count > 1 else f"on {gpu}"
    return f"{chosen}: {chosen.needed:.1f} GB {where}"
