"""The models that a GPU has room for: the first of the catalogue's preferences that its free memory holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from supervisor.gpus import Gpu
from supervisor.memory import Arena, EngineMemory
from supervisor.settings import Settings
from tritone.catalogue import Catalogue, Model, Shape

SPARE = 0.5
"""GB beside what the models take: what the driver keeps for itself."""
_FEW_SLOTS, _MOST_SLOTS = 4, 16
"""Streams of a Qwen3-TTS model that there is to be room for, and that there are where there is room for more."""
_POSITIONS = (6144, 4096, 2048)
"""What a slot may hold, best first: eight minutes of speech, five or less than three."""
_FLOAT16_CAPABILITY = (7, 0)


@dataclass(frozen=True)
class Fit:
    """A choice of models for a GPU."""

    models: Sequence[Model]
    compute_type: str
    """WHISPER_COMPUTE_TYPE: as the settings say it, or as memory decides; empty where it is the adapter's to choose."""
    arena: Arena | None
    """QWEN_SLOTS and QWEN_KV_POSITIONS: what memory leaves room for; None where it is the engine's to choose."""
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
    engine: EngineMemory | None
    """How Qwen3-TTS is spoken; None: as its models' own figures have it."""
    shapes: Mapping[str, Shape]

    @property
    def needed(self) -> float:
        """GB, on each GPU, with as little room for streams as there may be."""
        return self.taken(self._least) if self._least else self._without_streams

    @property
    def capability(self) -> tuple[int, ...]:
        return max((model.gpu_capability for model in self.models), default=(0, 0))

    def arena(self, gpu: Gpu) -> Arena | None:
        """What each Qwen3-TTS model has room for beside all the models: slots that hold much, and many of them."""
        if self._least is None or self.engine is None:
            return None
        for positions in (self.engine.positions,) if self.engine.positions else _POSITIONS:
            wanted = (self.engine.slots,) if self.engine.slots else range(_MOST_SLOTS, _FEW_SLOTS - 1, -1)
            for slots in wanted:
                arena = Arena(slots, positions)
                if self.taken(arena) <= gpu.free:
                    return arena
        return self._least

    def taken(self, arena: Arena) -> float:
        """GB, on each GPU, with these streams of each Qwen3-TTS model."""
        engine = self.engine
        assert engine is not None
        return self._without_streams + sum(engine.of_streams(shape, arena) for shape in self._engines)

    @property
    def _least(self) -> Arena | None:
        if self.engine is None or not self._engines:
            return None
        return Arena(self.engine.slots or _FEW_SLOTS, self.engine.positions or _POSITIONS[-1])

    @property
    def _engines(self) -> list[Shape]:
        """The shape of each instance that the in-flight engine speaks with."""
        spoken = [model for model in self.models if self.engine and model.size in self.shapes]
        return [self.shapes[model.size] for model in spoken for _ in range(self._count(model))]

    @property
    def _without_streams(self) -> float:
        taken = sum(self._needs(model) * self._count(model) for model in self.models)
        return taken + SPARE if taken else 0.0

    def _needs(self, model: Model) -> float:
        if self.engine and model.size in self.shapes:
            return self.engine.without_streams(self.shapes[model.size], clones=model.mode == "voice_clone")
        return model.needs(int8=self.int8)

    def _count(self, model: Model) -> int:
        return int(self.instances.get(model.id, 1))

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
    return Fit(models, "", None, fits=True, asked=_asked(settings) != (False, False), notes=notes)


def fit(
    catalogue: Catalogue,
    settings: Settings,
    gpus: Sequence[Gpu],
    *,
    further: Sequence[Model] = (),
    compute_type: str = "",
    engine: EngineMemory | None = None,
) -> Fit:
    """The models that the settings choose, or the most preferred defaults that the GPUs have room for.

    Every GPU runs an instance of every model, so that the least free memory and the oldest generation decide; the
    `further` models run there too. `compute_type` is what WHISPER_COMPUTE_TYPE says, `engine` what the settings of
    Qwen3-TTS do. Where nothing fits, the last resort is chosen all the same, and `fits` tells.
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
        candidates.append(_Candidate(models, int8, settings.model_instances, engine, catalogue.shapes))
    chosen = next((each for each in candidates if not each.hindrance(gpu)), None)
    if chosen is None:
        chosen = candidates[0] if all(asked) else candidates[-1]
        note = f"warning: {chosen}: there may not be room on {gpu}: {chosen.hindrance(gpu)}"
        return Fit(chosen.models, "", chosen.arena(gpu), fits=False, asked=any(asked), notes=[note])
    notes = [_told(chosen, gpu, len(gpus))]
    if left_out := {chosen.lacks(each): each.hindrance(gpu) for each in candidates[: candidates.index(chosen)]}:
        notes.append("left out: " + "; ".join(f"{what} ({why})" for what, why in left_out.items()))
    if chosen.int8 and not compute_type:
        compute_type = "int8_float16" if gpu.capability >= _FLOAT16_CAPABILITY else "int8"
    return Fit(chosen.models, compute_type, chosen.arena(gpu), fits=True, asked=any(asked), notes=notes)


def _ids(models: Sequence[Model]) -> str:
    return ", ".join(model.id for model in models)


def _asked(settings: Settings) -> tuple[bool, bool]:
    """Whether the settings say which models speak, and which listen."""
    return bool(settings.tts_modes or settings.model_type), bool(settings.stt_models)


def _told(chosen: _Candidate, gpu: Gpu, count: int) -> str:
    where = f"on each of {count} GPUs, the fullest {gpu}" if count > 1 else f"on {gpu}"
    arena = chosen.arena(gpu)
    if arena is None:
        return f"{chosen}: {chosen.needed:.1f} GB {where}"
    streams = f"with {arena.slots} streams a Qwen3-TTS model, of {arena.positions} positions"
    return f"{chosen}: {chosen.taken(arena):.1f} GB {where}, {streams}"
