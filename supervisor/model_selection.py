"""Choice of the models to serve: on a GPU, the first set of the catalogue's preferences that its free memory holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from supervisor.gpus import Gpu
from supervisor.memory import EngineMemory, Slots
from supervisor.settings import Settings
from tritone.catalogue import Catalogue
from tritone.families import Family, Model, SlotMemory

SPARE = 0.5
"""GB beside the models, for the driver."""


@dataclass(frozen=True)
class Selection:
    """The chosen models, and the settings that the GPU's memory decides."""

    models: Sequence[Model]
    variables: Mapping[str, str] = field(default_factory=dict)
    """Settings of the families, by name: precisions, and the number and size of slots."""
    fits: bool = True
    requested: bool = False
    """True if settings choose any of the models."""
    notes: Sequence[str] = ()
    """Lines about the choice for the operator."""


@dataclass(frozen=True)
class _Candidate:
    """A set of models, each family in one of its variants."""

    models: Sequence[Model]
    variants: Mapping[str, str]
    """Family -> its variant; a family that is not here has its default precision."""
    instances: Mapping[str, str]
    engines: Mapping[str, EngineMemory]
    """Family -> its slot engine, for those that have one."""

    @property
    def needed(self) -> float:
        """GB on each GPU, with the smallest slots."""
        return self.memory({family: self.engines[family].least for family in self._slot_families})

    @property
    def capability(self) -> tuple[int, ...]:
        """The least compute capability that all models run on."""
        return max((model.gpu_capability for model in self.models), default=(0, 0))

    def slots(self, gpu: Gpu) -> dict[str, Slots]:
        """Return the slots of each family's models that fit beside all models: long ones first, then many."""
        chosen = {family: self.engines[family].least for family in self._slot_families}
        for family in self._slot_families:
            choices = ({**chosen, family: choice} for choice in self.engines[family].choices)
            chosen = next((each for each in choices if self.memory(each) <= gpu.free), chosen)
        return chosen

    def memory(self, slots: Mapping[str, Slots]) -> float:
        """Return the GB on each GPU with these slots."""
        taken = sum(self._model_memory(model) * self._instances_of(model) for model in self.models)
        of_slots = sum(
            self.engines[family].of_slots(memory, each) * count
            for family, each in slots.items()
            for memory, count in self._slot_memories(family)
        )
        return taken + of_slots + SPARE if taken else 0.0

    @property
    def _slot_families(self) -> list[str]:
        return [family for family in self.engines if list(self._slot_memories(family))]

    def _slot_memories(self, family: str) -> Iterator[tuple[SlotMemory, int]]:
        """Yield the shape of each model of a family that keeps slots, and its instances."""
        for model in self.models:
            if model.family == family and model.slot_memory:
                yield model.slot_memory, self._instances_of(model)

    def _model_memory(self, model: Model) -> float:
        engine = self.engines.get(model.family)
        if engine and model.slot_memory:
            return engine.fixed(model.slot_memory)
        return model.variant_memory.get(self.variants.get(model.family, ""), model.gpu_memory)

    def _instances_of(self, model: Model) -> int:
        return int(self.instances.get(model.id, 1))

    def reason_unfit(self, gpu: Gpu) -> str:
        """Return the reason why it cannot run on a GPU; empty if it can."""
        if self.capability > gpu.capability:
            needed, has = (".".join(map(str, each)) for each in (self.capability, gpu.capability))
            return f"needs compute capability {needed}, the GPU has {has}"
        return f"{self.needed:.1f} GB needed" if self.needed > gpu.free else ""

    def missing_vs(self, other: _Candidate) -> str:
        """Return the models of `other` that this one lacks, or those that it has in a smaller variant."""
        others = [model for model in other.models if model not in self.models]
        return _ids(others) or f"{_ids(self._reduced)} in full precision"

    @property
    def _reduced(self) -> list[Model]:
        return [model for model in self.models if self.variants.get(model.family) in model.variant_memory]

    def __str__(self) -> str:
        names = dict.fromkeys(self.variants[model.family] for model in self._reduced)
        reduced = [f"{_ids([m for m in self._reduced if self.variants[m.family] == name])} in {name}" for name in names]
        return _ids(self.models) + (f" ({'; '.join(reduced)})" if reduced else "")


def select_for_cpu(catalogue: Catalogue, settings: Settings, *notes: str) -> Selection:
    """Return the models that the settings choose, or the defaults of a CPU."""
    models = catalogue.choose(settings.tts_modes, settings.stt_models, model_type=settings.model_type)
    return Selection(models, requested=any(_requested(settings)), notes=notes)


def select_for_gpu(
    catalogue: Catalogue,
    settings: Settings,
    gpus: Sequence[Gpu],
    *,
    extra: Sequence[Model] = (),
    environ: Mapping[str, str],
) -> Selection:
    """Return the models that the settings choose, or the most preferred defaults that fit on the GPUs.

    Every GPU runs an instance of every model and of the `extra` ones, so the least free memory and the oldest
    generation decide. `environ` holds the families' settings. If nothing fits, the last choice is returned, and `fits`
    is False. Raises `UnusableSettingError`.
    """
    gpu = replace(min(gpus, key=lambda each: each.free), capability=min(each.capability for each in gpus))
    requested = _requested(settings)
    speech = [settings.tts_modes] if requested[0] else catalogue.preferences["tts"]
    transcription = [settings.stt_models] if requested[1] else catalogue.preferences["stt"]
    families = catalogue.families.values()
    engines = {family.name: engine for family in families if (engine := EngineMemory.read(family, environ))}
    candidates = []
    combinations = list(product(*(_variant_choices(family, environ) for family in families)))
    for tts, stt, variants in product(speech, transcription, combinations):
        models = catalogue.choose(tts, stt, model_type=settings.model_type)
        models += [model for model in extra if model not in models]
        named = {family.name: name for family, name in zip(families, variants, strict=True) if name}
        candidates.append(_Candidate(models, named, settings.model_instances, engines))
    chosen = next((each for each in candidates if not each.reason_unfit(gpu)), None)
    if chosen is None:
        chosen = candidates[0] if all(requested) else candidates[-1]
        note = f"warning: {chosen} may not fit on {gpu}: {chosen.reason_unfit(gpu)}"
        variables = _slot_variables(chosen, gpu)
        return Selection(chosen.models, variables, fits=False, requested=any(requested), notes=[note])
    notes = [_describe(chosen, gpu, len(gpus))]
    better = candidates[: candidates.index(chosen)]
    if left_out := {chosen.missing_vs(each): each.reason_unfit(gpu) for each in better}:
        notes.append("left out: " + "; ".join(f"{models} ({reason})" for models, reason in left_out.items()))
    variables = {**_variant_variables(chosen, catalogue, gpu, environ), **_slot_variables(chosen, gpu)}
    return Selection(chosen.models, variables, requested=any(requested), notes=notes)


def _variant_choices(family: Family, environ: Mapping[str, str]) -> list[str]:
    """Return the variants that settings leave to choose from, best first; "" is the default precision."""
    names = {variant.setting for variant in family.variants.values()}
    values = {name: family.settings[name].read(environ) for name in names}
    if not any(values.values()):
        return ["", *family.variants]
    fixed = [name for name, variant in family.variants.items() if values[variant.setting] in variant.values]
    return fixed[:1] or [""]


def _variant_variables(
    chosen: _Candidate, catalogue: Catalogue, gpu: Gpu, environ: Mapping[str, str]
) -> dict[str, str]:
    variants = [catalogue.families[family].variants[name] for family, name in chosen.variants.items()]
    free = [variant for variant in variants if not environ.get(variant.setting)]
    return {variant.setting: variant.value_for(gpu.capability) for variant in free}


def _slot_variables(chosen: _Candidate, gpu: Gpu) -> dict[str, str]:
    variables: dict[str, str] = {}
    for family, slots in chosen.slots(gpu).items():
        engine = chosen.engines[family].engine
        variables |= {engine.slots: str(slots.count), engine.positions: str(slots.positions)}
    return variables


def _ids(models: Sequence[Model]) -> str:
    return ", ".join(model.id for model in models)


def _requested(settings: Settings) -> tuple[bool, bool]:
    """Return whether settings choose the speech models, and the transcription models."""
    return bool(settings.tts_modes or settings.model_type), bool(settings.stt_models)


def _describe(chosen: _Candidate, gpu: Gpu, count: int) -> str:
    where = f"on each of {count} GPUs, the fullest {gpu}" if count > 1 else f"on {gpu}"
    slots = chosen.slots(gpu)
    each = [f"{s.count} slots of {s.positions} positions in each {family} model" for family, s in slots.items()]
    return f"{chosen}: {chosen.memory(slots):.1f} GB {where}" + "".join(f", {text}" for text in each)
