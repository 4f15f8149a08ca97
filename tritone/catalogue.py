"""The models of all families, and the choice among them that the settings make."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tritone.families import Family, Kind, Model, load_all
from tritone.settings import Setting

_PREFERENCES: Final = Path(__file__).with_name("preferences.toml")


class UnknownModelError(ValueError):
    """A setting names a model that does not exist; the message lists those that do."""


@dataclass(frozen=True)
class Catalogue:
    """The union of the families, and the content of `preferences.toml`."""

    families: Mapping[str, Family]
    models: Mapping[str, Model]
    """The models that a setting may choose, by id."""
    companions: tuple[Model, ...]
    aliases: Mapping[str, tuple[str, ...]]
    """Alias -> the ids that it may stand for, best first."""
    defaults: Mapping[str, Mapping[str, tuple[str, ...]]]
    """The models chosen by empty settings on a CPU (`cpu`), and the modes chosen by MODEL_TYPE alone (`sized`)."""
    preferences: Mapping[str, tuple[tuple[str, ...], ...]]
    """The models chosen by empty settings on a GPU, by kind (`tts`, `stt`): the first set that fits its memory."""
    all: Mapping[Kind, tuple[str, ...]]
    """The modes, or the ids of models, that the word `all` stands for."""
    model_types: Mapping[str, tuple[str, ...]]
    """The values of MODEL_TYPE -> the sizes that each stands for."""

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, preferences: Path = _PREFERENCES) -> Catalogue:
        """Read all families, with those of EXTRA_FAMILIES, and the preferences.

        Raises `FamilyFileError` for a malformed family, and `UnknownModelError` for an id that two families use.
        """
        families = load_all(environ)
        models: dict[str, Model] = {}
        for family in families:
            for id_, model in family.models.items():
                if id_ in models:
                    raise UnknownModelError(
                        f"{id_!r} is a model of two families, {models[id_].family} and {family.name}"
                    )
                models[id_] = model.configured(family.settings, environ)
        data = tomllib.loads(preferences.read_text(encoding="utf-8"))
        aliases = _tuples(data["aliases"])
        for model in models.values():
            for alias in model.aliases:
                if alias in models or alias in aliases:
                    raise UnknownModelError(f"{model.id}: the alias {alias!r} is already in use")
                aliases[alias] = (model.id,)
        by_kind = {kind: tuple(map(tuple, sets)) for kind, sets in data["defaults"].pop("cuda").items()}
        return cls(
            families={family.name: family for family in families},
            models={id_: model for id_, model in models.items() if model.kind != "companion"},
            companions=tuple(model for model in models.values() if model.kind == "companion"),
            aliases=aliases,
            defaults={where: _tuples(chosen) for where, chosen in data["defaults"].items()},
            preferences=by_kind,
            all=_tuples(data["all"]),
            model_types=_tuples(data["model_types"]),
        )

    @property
    def settings(self) -> dict[str, Setting[Any]]:
        """The settings of all families, by name."""
        return {name: setting for family in self.families.values() for name, setting in family.settings.items()}

    def with_extra(self, templates: Mapping[str, str], checkpoints: Mapping[str, str]) -> Catalogue:
        """Return this catalogue with further checkpoints.

        `templates` maps each new id to the id of the model that it is like, `checkpoints` to its folder. Raises
        `UnknownModelError` for an id that is taken, or that is like no known model.
        """
        models = dict(self.models)
        for id_, template in templates.items():
            if id_ in self.models or id_ in self.aliases:
                raise UnknownModelError(f"EXTRA_MODELS: {id_!r} is already in use; choose another id")
            if template not in self.models:
                raise UnknownModelError(f"EXTRA_MODELS: {id_!r} is like {template!r}, which is not a model")
            weights = checkpoints.get(id_, id_)
            models[id_] = replace(
                self.models[template], id=id_, names=(), aliases=(), weights=weights, path_settings=()
            )
        return replace(self, models=models)

    def choose(self, tts_modes: Sequence[str], stt_models: Sequence[str], *, model_type: str = "") -> list[Model]:
        """Return the models that TTS_MODES and STT_MODELS name, in the catalogue's order.

        A name is a model's id or short name, a mode (in the sizes of MODEL_TYPE, 1.7b where that is empty), or `all`;
        `none` means no model of that kind. Empty settings mean the defaults of a CPU; MODEL_TYPE alone means the usual
        modes of that size. Raises `UnknownModelError` for an unknown name.
        """
        sizes = self.model_types.get((model_type or "1.7b").lower())
        if sizes is None:
            raise UnknownModelError(f"MODEL_TYPE: {model_type!r} is unknown; choose from {', '.join(self.model_types)}")
        default_modes = self.defaults["sized" if model_type else "cpu"]["tts"]
        wanted = self._chosen("TTS_MODES", "speech", tts_modes or default_modes, sizes)
        wanted |= self._chosen("STT_MODELS", "transcription", stt_models or self.defaults["cpu"]["stt"], sizes)
        return [model for model in self.models.values() if model.id in wanted]

    def companions_of(self, models: Iterable[Model]) -> list[Model]:
        """Return the companions that are loaded beside `models`."""
        kinds = {None, *(model.kind for model in models)}
        return [companion for companion in self.companions if companion.loaded_with in kinds]

    def ranks(self, id_: str) -> dict[str, int]:
        """Return the aliases that may stand for a model, each with its rank there: 0 is the alias's first choice."""
        return {alias: targets.index(id_) for alias, targets in self.aliases.items() if id_ in targets}

    def supporting(self, option: str) -> list[str]:
        """Return the ids of the models that support a request option."""
        return [model.id for model in self.models.values() if option in model.options]

    def _chosen(self, setting: str, kind: Kind, names: Iterable[str], sizes: Sequence[str]) -> set[str]:
        models = [model for model in self.models.values() if model.kind == kind]
        wanted: set[str] = set()
        for name in names:
            word = name.lower()
            found: set[str] = set()
            for each in self.all[kind] if word == "all" else (word,):
                found |= {model.id for model in models if each in (model.id, *model.names)}
                found |= _of_mode(each, models, sizes)
            if not found and word != "none":
                known = dict.fromkeys(word for model in models for word in (model.id, *model.names, model.mode))
                raise UnknownModelError(f"{setting}: {name!r} is unknown; choose from {', '.join(known)}, all, none")
            wanted |= found
        return wanted


def _of_mode(mode: str, models: Iterable[Model], sizes: Sequence[str]) -> set[str]:
    """Return the models of a mode in these sizes, or in every size where it has none of these."""
    candidates = [model for model in models if model.mode == mode]
    return {model.id for model in candidates if model.size in sizes} or {model.id for model in candidates}


def _tuples(table: Mapping[Any, Iterable[Any]]) -> dict[Any, tuple[Any, ...]]:
    return {key: tuple(values) for key, values in table.items()}
