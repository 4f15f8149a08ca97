"""Model families as data: each folder below adapters/ with a `family.toml` describes its models and its settings.

docs/families.md explains every key of the file.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args

from tritone.contract import INTERFACES, InterfaceName, SpeechOptions, TranscriptionOptions
from tritone.conversion import Conversion
from tritone.settings import EXTRA_FAMILIES, Setting

Kind = Literal["speech", "transcription", "companion"]
"""A `companion` answers no HTTP request by itself; the supervisor loads it beside the models that need it."""
Mode = Literal["voice", "custom_voice", "voice_design", "voice_clone", "transcribe", "companion"]

ROOT: Final = Path(__file__).resolve().parents[1]
BUILT_IN: Final = ROOT / "adapters"
FILE: Final = "family.toml"

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "float": ((int, float), "a number"),
    "tuple": ((list, tuple), "a list"),
    "Mapping": (dict, "a table"),
}
"""The annotation of a field -> the types that its TOML value may have, and their name."""

_MODES: Mapping[Kind, tuple[Mode, ...]] = {
    "speech": ("voice", "custom_voice", "voice_design", "voice_clone"),
    "transcription": ("transcribe",),
    "companion": ("companion",),
}
_INTERFACES: Mapping[Mode, InterfaceName] = {"voice_clone": "voice_clone", "transcribe": "transcription"}
_OPTIONS: Mapping[str, type[SpeechOptions] | type[TranscriptionOptions]] = {
    "speech": SpeechOptions,
    "transcription": TranscriptionOptions,
}


class FamilyFileError(ValueError):
    """A `family.toml` is missing or invalid; the message names the file, the table and the key."""


@dataclass(frozen=True)
class Variant:
    """A smaller precision of a family's models, for GPUs with little memory."""

    setting: str
    """The environment variable that selects it."""
    values: Mapping[str, tuple[int, ...]]
    """The setting's values that select it -> the compute capability that each needs; the first that fits is used."""

    def value_for(self, capability: tuple[int, ...]) -> str:
        """Return the best value for a GPU of this compute capability."""
        return next(value for value, least in self.values.items() if capability >= least)


@dataclass(frozen=True)
class SlotMemory:
    """The GPU memory of an engine that keeps a fixed number of streams, counted from the model's shape."""

    parameters: float
    """Millions of weights in the engine's own precision."""
    float32_parameters: float
    """Millions of weights that stay in float32 whatever the precision."""
    numbers_per_position: int
    """Numbers that a slot keeps for each prompt token or frame."""
    numbers_per_slot: int
    """Numbers that a slot keeps whatever its length."""
    fixed_gb: float
    """GB that the process needs besides: the CUDA context, graphs, working memory."""
    cache_setting: str = ""
    """A setting whose value, in MB, is added; empty: none."""


@dataclass(frozen=True)
class SlotEngine:
    """The settings of an engine that keeps streams in slots: those that GPU memory depends on."""

    enabled_by: Mapping[str, str]
    """Setting -> the value that selects this engine; with any other value, `gpu_memory` counts."""
    slots: str
    """The setting of the number of slots; 0: as many as memory allows."""
    least_slots: int
    most_slots: int
    positions: str
    """The setting of the positions in a slot."""
    position_choices: tuple[int, ...]
    """The values to try while that setting is empty, best first."""
    precision: str
    """The setting of the precision."""
    bytes_per_number: Mapping[str, int]
    """The precision's value -> bytes; the key "" is the default."""


@dataclass(frozen=True)
class Model:
    """A model that can be served; `id` is its folder in the repository, its HTTP name and its gRPC name."""

    id: str
    family: str
    kind: Kind
    mode: Mode
    interface: InterfaceName
    adapter: Path
    """The Python file with the `TritonPythonModel` class that Triton runs."""
    environment: str
    """The Python environment of its process: the name of a file in requirements/models/."""
    owner: str
    gpu_environment: str = ""
    """The same on a GPU, where it is another one."""
    gpu_enabled_by: Mapping[str, str] = field(default_factory=dict)
    """Setting -> the value with which it runs on a GPU; with another, it runs on the CPU beside models on the GPU."""
    summary: str = ""
    """A line for the documentation."""
    names: tuple[str, ...] = ()
    """Short names that TTS_MODES or STT_MODELS accept for it."""
    aliases: tuple[str, ...] = ()
    """Ids of the model on other servers, which requests may also use."""
    weights: str = ""
    """The folder of its weights: below MODEL_DIR, or absolute for an extra checkpoint; empty: it has none."""
    size: str = ""
    """The value of MODEL_TYPE that chooses it, for a mode in several sizes."""
    options: tuple[str, ...] = ()
    """The request options that it supports."""
    voice_aliases: Mapping[str, str] = field(default_factory=dict)
    """OpenAI's voice name -> the model's own."""
    gpu_memory: float = 0.0
    """GB of GPU memory for each instance; 0: it runs on the CPU."""
    variant_memory: Mapping[str, float] = field(default_factory=dict)
    """Variant -> GB of GPU memory with that variant."""
    gpu_capability: tuple[int, ...] = (0, 0)
    """The least compute capability of a GPU that can run it."""
    slot_memory: SlotMemory | None = None
    path_settings: tuple[str, ...] = ()
    """Settings that name another checkpoint to serve in its place; the first that is set wins."""
    recognized_by: Mapping[str, Any] = field(default_factory=dict)
    """Fields of config.json and their values; a checkpoint that has them all is like this model."""
    loaded_with: Kind | None = None
    """The kind of model that a companion is loaded with; None: it is always loaded."""
    max_batch_size: int = 0
    """The most requests in a batch that Triton forms; 0: the model schedules its requests itself."""
    max_queue_delay_us: int = 0
    """Microseconds that Triton waits for more requests before it sends a batch."""

    def configured(self, settings: Mapping[str, Setting[Any]], environ: Mapping[str, str]) -> Model:
        """Return the model as the family's settings say: it takes nothing of a GPU that they do not enable."""
        if all(settings[name].read(environ) == value for name, value in self.gpu_enabled_by.items()):
            return self
        return dataclasses.replace(self, gpu_environment="", gpu_memory=0.0, gpu_capability=(0, 0))

    def environment_on(self, device: Literal["cpu", "cuda"]) -> str:
        """Return the environment of its process on a device."""
        return self.gpu_environment if device == "cuda" and self.gpu_environment else self.environment


@dataclass(frozen=True)
class Family:
    """A model family."""

    name: str
    """The name of its folder."""
    folder: Path
    models: Mapping[str, Model]
    settings: Mapping[str, Setting[Any]]
    variants: Mapping[str, Variant]
    slot_engine: SlotEngine | None
    conversion: Conversion | None = None

    @property
    def import_root(self) -> Path:
        """The folder that must be on `sys.path` to import its modules."""
        return ROOT if self.folder.parent == BUILT_IN else self.folder.parent

    def module(self, name: str) -> str:
        """Return the dotted name of its module `name`."""
        return ".".join((*self.folder.relative_to(self.import_root).parts, name))

    @classmethod
    def load(cls, folder: Path) -> Family:
        """Read `folder`/family.toml; raises `FamilyFileError`."""
        path = folder / FILE
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
            if not _table(data, "models"):
                raise ValueError("it has no table [models.ID]")
            defaults, engine, conversion = (_table(data, key) for key in ("family", "slot_engine", "conversion"))
            return cls(
                name=folder.name,
                folder=folder,
                models={id_: _model(folder, id_, {**defaults, **entry}) for id_, entry in _tables(data, "models")},
                settings={
                    name: _build(Setting, f"settings.{name}", entry, name=name)
                    for name, entry in _tables(data, "settings")
                },
                variants={name: _variant(name, entry) for name, entry in _tables(data, "variants")},
                slot_engine=_build(SlotEngine, "slot_engine", engine) if engine else None,
                conversion=_build(Conversion, "conversion", conversion) if conversion else None,
            )
        except OSError as error:
            raise FamilyFileError(f"{path} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise FamilyFileError(f"{path}: {error}") from error

    def integer(self, name: str) -> Setting[int]:
        """Return a setting of the family with whole numbers as values."""
        setting: Setting[int] = self.settings[name]
        assert isinstance(setting.default, int)
        return setting

    def text(self, name: str) -> Setting[str]:
        """Return a setting of the family with text as values."""
        setting: Setting[str] = self.settings[name]
        assert isinstance(setting.default, str)
        return setting


def load_all(environ: Mapping[str, str] = os.environ) -> list[Family]:
    """Return the built-in families by name, then those of EXTRA_FAMILIES; raises `FamilyFileError`."""
    folders = sorted(path.parent for path in BUILT_IN.glob(f"*/{FILE}"))
    extra = [
        ROOT / Path(folder.strip()).expanduser() for folder in EXTRA_FAMILIES.read(environ).split(",") if folder.strip()
    ]
    return [Family.load(folder) for folder in (*folders, *extra)]


def _model(folder: Path, id_: str, entry: Mapping[str, Any]) -> Model:
    where = f"models.{id_}"
    kind: Kind = _one_of(where, "kind", entry.get("kind"), get_args(Kind))
    modes = _MODES[kind]
    mode: Mode = _one_of(where, "mode", entry.get("mode", modes[0] if len(modes) == 1 else None), modes)
    default_interface = None if kind == "companion" else _INTERFACES.get(mode, "speech")
    interface = _one_of(where, "interface", entry.get("interface", default_interface), INTERFACES)
    shared = ("voice_key",) if interface == "voice_clone" else ()  # its code is in adapters/triton
    slot_memory = _table(entry, "slot_memory")
    return _build(
        Model,
        where,
        {
            "weights": id_,
            **entry,
            "kind": kind,
            "mode": mode,
            "interface": interface,
            "options": list(_expanded(where, kind, (*entry.get("options", ()), *shared))),
            "adapter": folder / entry.get("adapter", "model.py"),
            "slot_memory": _build(SlotMemory, f"{where}.slot_memory", slot_memory) if slot_memory else None,
        },
        id=id_,
        family=folder.name,
    )


def _one_of(where: str, key: str, value: Any, allowed: Iterable[str]) -> Any:
    """Return `value` if it is one of `allowed`."""
    if value is None:
        raise ValueError(f"{where}: {key} is missing; choose from {', '.join(allowed)}")
    if value not in allowed:
        raise ValueError(f"{where}: {key} {value!r} is unknown; choose from {', '.join(allowed)}")
    return value


def _expanded(where: str, kind: Kind, options: Iterable[str]) -> Iterator[str]:
    """Yield the option names; the name of a group stands for all options that the contract declares in it."""
    if kind not in _OPTIONS:
        return
    declared = _OPTIONS[kind]
    groups = declared.groups()
    for name in options:
        if name not in groups and name not in declared.types():
            raise ValueError(f"{where}: option {name!r} is not in the contract")
        yield from groups.get(name, (name,))


def _variant(name: str, entry: Mapping[str, Any]) -> Variant:
    values = {value: tuple(least) for value, least in _table(entry, "values").items()}
    return _build(Variant, f"variants.{name}", {**entry, "values": values})


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the table under `key`, which is empty where there is none."""
    table = data.get(key, {})
    if not isinstance(table, dict):
        raise ValueError(f"{key} must be a table")
    return table


def _tables(data: Mapping[str, Any], key: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the names and the content of the tables under `key`."""
    table = _table(data, key)
    return [(name, _table(table, name)) for name in table]


def _build(type_: type[T], where: str, entry: Mapping[str, Any], **given: Any) -> T:
    """Return an instance of a dataclass from a table, and from values that the table may not set; lists become tuples.

    Raises `ValueError` for an unknown key, a missing one and a value of the wrong type.
    """
    fields = {f.name: f for f in dataclasses.fields(type_) if f.name not in given}
    for key, value in entry.items():
        if key not in fields:
            raise ValueError(f"{where}: unknown key {key!r}; choose from {', '.join(fields)}")
        expected, word = _TYPES.get(str(fields[key].type).split("[")[0], (object, ""))
        if not isinstance(value, expected):
            raise ValueError(f"{where}: {key} must be {word}, not {value!r}")
    for name, f in fields.items():
        if name not in entry and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise ValueError(f"{where}: {name} is missing")
    return type_(**given, **{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
