"""Which models there are, what they are called, and which of them the settings choose."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

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
    environment: str
    owner: str
    names: tuple[str, ...] = ()
    checkpoint: str = ""
    """The folder below MODEL_DIR that holds its weights; empty: its id."""
    size: str = ""
    """Where its mode comes in several sizes: this one's."""
    voices: Mapping[str, str] = field(default_factory=dict)
    """OpenAI's voice name -> this model's own."""
    gpu_memory: float = 0.0
    """GB of GPU memory that it takes, on every GPU that it runs on; 0: it computes on the CPU. Of Qwen3-TTS, with
    QWEN_ENGINE=stock."""
    gpu_memory_int8: float | None = None
    """The same with int8 weights; None: it has no such form."""
    gpu_capability: tuple[int, ...] = (0, 0)
    """The least compute capability of a GPU that it runs on."""

    @property
    def folder(self) -> str:
        """The folder that holds its weights: below MODEL_DIR, or absolute for a further checkpoint."""
        return self.checkpoint or self.id

    def needs(self, *, int8: bool = False) -> float:
        """GB of GPU memory that it takes, with int8 weights where that is asked for and possible."""
        return self.gpu_memory_int8 if int8 and self.gpu_memory_int8 is not None else self.gpu_memory

    @property
    def served(self) -> tuple[str, ...]:
        """What Triton loads for it: itself, and a transcription model's companion for recordings of any length."""
        return (self.id, f"{self.id}-long") if self.kind == "transcription" else (self.id,)


@dataclass(frozen=True)
class Shape:
    """What a size of Qwen3-TTS consists of, as far as its memory depends on it."""

    parameters: float
    """Millions of weights, without the speech tokenizer's."""
    codec_encoder: float
    """Millions of the speech tokenizer's that make codes of recordings."""
    codec_decoder: float
    """Millions of those that make samples of codes, as the engine arranges them."""
    hidden: int
    """Width of the talker, as its layers, heads and their width are."""
    layers: int
    key_value_heads: int
    head_dim: int


@dataclass(frozen=True)
class Catalogue:
    """The content of `catalogue.toml`."""

    models: Mapping[str, Model]
    aliases: Mapping[str, tuple[str, ...]]
    defaults: Mapping[str, Mapping[str, tuple[str, ...]]]
    """What is chosen where nothing is said, on a CPU (`cpu`), and where MODEL_TYPE stands alone (`sized`)."""
    preferences: Mapping[str, tuple[tuple[str, ...], ...]]
    """What is chosen on a GPU where nothing is said, by kind of setting: the first that fits its memory."""
    all: Mapping[Kind, tuple[Mode, ...]]
    """The modes that the word `all` stands for."""
    model_types: Mapping[str, tuple[str, ...]]
    """What MODEL_TYPE may say -> the sizes that it stands for."""
    shapes: Mapping[str, Shape]
    """A size -> what its checkpoints consist of."""

    @classmethod
    def load(cls, path: Path | None = None) -> Catalogue:
        """Read the catalogue, ours unless told otherwise; a missing or unknown key raises `TypeError` or `KeyError`."""
        data = tomllib.loads((path or Path(__file__).with_suffix(".toml")).read_text(encoding="utf-8"))
        models = {id_: _model(id_, entry, data["voices"]) for id_, entry in data["models"].items()}
        preferences = {kind: tuple(map(tuple, sets)) for kind, sets in data["defaults"].pop("cuda").items()}
        defaults = {where: _tuples(chosen) for where, chosen in data["defaults"].items()}
        all_, model_types = _tuples(data["all"]), _tuples(data["model_types"])
        shapes = {size: Shape(**shape) for size, shape in data["shapes"].items()}
        return cls(models, _tuples(data["aliases"]), defaults, preferences, all_, model_types, shapes)

    def with_extra(self, like: Mapping[str, str], checkpoints: Mapping[str, str] | None = None) -> Catalogue:
        """This catalogue with further checkpoints: id -> the id of the model that each is like, and its folder.

        Raises `UnknownModelError` for an id that is taken, or like none.
        """
        models = dict(self.models)
        for id_, twin in like.items():
            if id_ in self.models or id_ in self.aliases:
                raise UnknownModelError(f"EXTRA_MODELS: {id_!r} is a name already; choose another")
            if twin not in self.models:
                raise UnknownModelError(f"EXTRA_MODELS: {id_!r} is like {twin!r}, and there is no such model")
            folder = (checkpoints or {}).get(id_, id_)
            models[id_] = replace(self.models[twin], id=id_, names=(), checkpoint=folder)
        return replace(self, models=models)

    def choose(self, tts_modes: Sequence[str], stt_models: Sequence[str], *, model_type: str = "") -> list[Model]:
        """The models that TTS_MODES and STT_MODELS name, in the catalogue's order.

        A name is a model's id or short name, a mode (in the sizes of MODEL_TYPE, 1.7b where that is empty), or `all`;
        the word `none` means no model of that kind. Empty settings mean the defaults of a CPU, and MODEL_TYPE alone
        means that size's usual modes. Raises `UnknownModelError` for a name that nothing answers to.
        """
        sizes = self.model_types.get((model_type or "1.7b").lower())
        if sizes is None:
            raise UnknownModelError(f"MODEL_TYPE: {model_type!r} is unknown; choose from {', '.join(self.model_types)}")
        default_modes = self.defaults["sized" if model_type else "cpu"]["tts"]
        wanted = self._chosen("TTS_MODES", "speech", tts_modes or default_modes, sizes)
        wanted |= self._chosen("STT_MODELS", "transcription", stt_models or self.defaults["cpu"]["stt"], sizes)
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

    def _chosen(self, setting: str, kind: Kind, names: Iterable[str], sizes: Sequence[str]) -> set[str]:
        models = [model for model in self.models.values() if model.kind == kind]
        wanted: set[str] = set()
        for name in names:
            word = name.lower()
            found = {model.id for model in models if word in (model.id, *model.names)}
            for mode in self.all[kind] if word == "all" else (word,):
                found |= _of_mode(mode, models, sizes)
            if not found and word != "none":
                known = dict.fromkeys(word for model in models for word in (model.id, *model.names, model.mode))
                raise UnknownModelError(f"{setting}: {name!r} is unknown; choose from {', '.join(known)}, all, none")
            wanted |= found
        return wanted


def _of_mode(mode: str, models: Iterable[Model], sizes: Sequence[str]) -> set[str]:
    """The models of a mode in these sizes; a mode that does not come in any of them, in the size that it has."""
    there = [model for model in models if model.mode == mode]
    return {model.id for model in there if model.size in sizes} or {model.id for model in there}


def _model(id_: str, entry: Mapping[str, Any], voices: Mapping[str, Mapping[str, str]]) -> Model:
    names = tuple(entry.get("names", ()))
    own = voices[entry["voices"]] if "voices" in entry else {}
    capability = tuple(entry.get("gpu_capability", (0, 0)))
    return Model(**{**entry, "id": id_, "names": names, "voices": own, "gpu_capability": capability})


def _tuples(table: Mapping[Any, Iterable[Any]]) -> dict[Any, tuple[Any, ...]]:
    return {key: tuple(values) for key, values in table.items()}
