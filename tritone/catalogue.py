"""Which models there are, what they are called, and which of them the settings choose."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["speech", "transcription"]
Mode = Literal["voice", "custom_voice", "voice_design", "voice_clone", "transcribe"]


class UnknownModelError(ValueError):
    """A setting or a request names a model that is not there; the message lists those that are."""


@dataclass(frozen=True)
class Model:
    """One servable model; `id` is its folder, its HTTP name and its gRPC name."""

    id: str
    kind: Kind
    mode: Mode
    names: tuple[str, ...]
    environment: str
    owner: str
    voices: Mapping[str, str]
    """OpenAI's voice name -> this model's own."""


@dataclass(frozen=True)
class Catalogue:
    """The content of `catalogue.toml`."""

    models: Mapping[str, Model]
    aliases: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, Mapping[str, tuple[str, ...]]]

    @classmethod
    def load(cls, path: Path | None = None) -> Catalogue:
        """Read the catalogue, ours unless told otherwise; a missing or unknown key raises `TypeError` or `KeyError`."""
        data = tomllib.loads((path or Path(__file__).with_suffix(".toml")).read_text(encoding="utf-8"))
        voices = data["voices"]
        models = {
            id_: Model(id=id_, voices=voices.get(id_, {}), **{**entry, "names": tuple(entry["names"])})
            for id_, entry in data["models"].items()
        }
        aliases = {alias: tuple(ids) for alias, ids in data["aliases"].items()}
        defaults = {
            device: {kind: tuple(ids) for kind, ids in chosen.items()} for device, chosen in data["defaults"].items()
        }
        return cls(models, aliases, defaults)

    def choose(self, tts_modes: Sequence[str], stt_models: Sequence[str], device: str = "cpu") -> list[Model]:
        """The models that TTS_MODES and STT_MODELS name, in the catalogue's order.

        An empty setting means the device's defaults; the word `none` means no model of that kind.
        Raises `UnknownModelError` for a name that nothing answers to.
        """
        wanted: set[str] = set()
        for setting, names, key, kind in (
            ("TTS_MODES", tts_modes, "tts", "speech"),
            ("STT_MODELS", stt_models, "stt", "transcription"),
        ):
            for name in names or self.defaults[device][key]:
                if name == "none":
                    continue
                wanted |= self._named(setting, name, [m for m in self.models.values() if m.kind == kind])
        return [model for model in self.models.values() if model.id in wanted]

    def resolve(self, name: str, chosen: Iterable[Model]) -> Model:
        """The chosen model that `name`, an id or an alias, stands for.

        Raises `UnknownModelError`, with the names that do answer, for any other.
        """
        by_id = {model.id: model for model in chosen}
        for id_ in (name, *self.aliases.get(name, ())):
            if id_ in by_id:
                return by_id[id_]
        raise UnknownModelError(f"no model {name!r} is served; there are: {', '.join(self.names(by_id.values()))}")

    def names(self, chosen: Iterable[Model]) -> list[str]:
        """Every name that a request may use: the chosen models' ids, then the aliases that reach one."""
        ids = [model.id for model in chosen]
        return ids + [alias for alias, targets in self.aliases.items() if set(targets) & set(ids)]

    @staticmethod
    def _named(setting: str, name: str, models: Sequence[Model]) -> set[str]:
        found = {m.id for m in models if name.lower() in (m.id, m.mode, *m.names) or name == "all"}
        if not found:
            known = sorted({word for m in models for word in (m.id, *m.names)})
            raise UnknownModelError(f"{setting}: {name!r} is unknown; choose from {', '.join(known)}, all, none")
        return found
