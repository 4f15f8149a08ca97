"""GPU memory of engines that keep streams in slots, counted from the shapes in `family.toml`. GB are 2^30 bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from tritone.families import Family, SlotEngine, SlotMemory

_GB = 1 << 30
_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Slots:
    """The slots that each model of a family has."""

    count: int
    positions: int
    """Prompt tokens and frames that a slot holds."""


@dataclass(frozen=True)
class EngineMemory:
    """A family's slot engine as its settings configure it."""

    engine: SlotEngine
    slots: int = 0
    """The number that a setting requires; 0: none does."""
    positions: int = 0
    """The same for the positions in a slot."""
    bytes_per_number: int = 2
    cache_bytes: Mapping[str, int] = field(default_factory=dict)
    """Setting -> the bytes of the cache that it sizes."""

    @classmethod
    def read(cls, family: Family, environ: Mapping[str, str] = os.environ) -> EngineMemory | None:
        """Read the family's settings.

        Returns None if the family has no such engine, or the settings choose another. Raises `UnusableSettingError`.
        """
        engine = family.slot_engine
        if engine is None:
            return None
        if any(family.settings[name].read(environ) != value for name, value in engine.enabled_by.items()):
            return None
        caches = {model.slot_memory.cache_setting for model in family.models.values() if model.slot_memory}
        positions = family.integer(engine.positions)
        return cls(
            engine,
            slots=family.integer(engine.slots).read(environ),
            positions=positions.read(environ) if environ.get(positions.name) else 0,
            bytes_per_number=engine.bytes_per_number[family.text(engine.precision).read(environ)],
            cache_bytes={name: family.integer(name).read(environ) << 20 for name in caches if name},
        )

    @property
    def least(self) -> Slots:
        """The smallest slots that are acceptable."""
        return Slots(self.slots or self.engine.least_slots, self.positions or self.engine.position_choices[-1])

    @property
    def choices(self) -> list[Slots]:
        """All acceptable slots, best first: long ones, and of these as many as possible."""
        positions = (self.positions,) if self.positions else self.engine.position_choices
        most, least = self.engine.most_slots, self.engine.least_slots
        counts = (self.slots,) if self.slots else range(most, least - 1, -1)
        return [Slots(count, each) for each in positions for count in counts]

    def fixed(self, memory: SlotMemory) -> float:
        """Return the GB of a model without its slots."""
        weights = memory.parameters * self.bytes_per_number + memory.float32_parameters * _FLOAT32_BYTES
        cache = self.cache_bytes.get(memory.cache_setting, 0)
        return memory.fixed_gb + (weights * 1e6 + cache) / _GB

    def of_slots(self, memory: SlotMemory, slots: Slots) -> float:
        """Return the GB of a model's slots, and of the scratch slot for padding rows."""
        numbers = slots.positions * memory.numbers_per_position + memory.numbers_per_slot
        return (slots.count + 1) * numbers * self.bytes_per_number / _GB
