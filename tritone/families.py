"""Model families as data: each folder below adapters/ with a `family.toml` describes its models and its settings.

docs/families.md explains every key of the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from tritone.contract import INTERFACES, InterfaceName, SpeechOptions, TranscriptionOptions
from tritone.conversion import Conversion
from tritone.settings import EXTRA_FAMILIES, Setting

Kind = Literal["speech", "transcription", "companion"]
"""A `companion` answers no HTTP request by itself; the supervisor loads it beside the models that need it."""
Mode = Literal["voice", "custom_voice", "voice_design", "voice_clone", "transcribe", "companion"]

ROOT: Final = Path(__file__).resolve().parents[1]
BUILT_IN: Final = ROOT / "adapters"
FILE: Final = "family.toml"

_INTERFACES: Mapping[Mode, InterfaceName] = {"voice_clone": "voice_clone", "transcribe": "transcription"}
_OPTIONS: Mapping[str, type[SpeechOptions] | type[TranscriptionOptions]] = {
    "speech": SpeechOptions,
    "transcription": TranscriptionOptions,
}


class FamilyFileError(ValueError):
    """A `family.toml` is missing, or says something that it cannot; the message names the file and the key."""


@dataclass(frozen=True)
class Variant:
    """Another precision of a family's models, chosen by a setting where GPU memory is short."""

    setting: str
    """The environment variable that selects it."""
    values: Mapping[str, tuple[int, ...]]
    """The setting's values that select it -> the compute capability that each needs; the first that fits is taken."""

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
    """GB that the process takes beside them: the CUDA context, graphs, working memory."""
    cache_setting: str = ""
    """A setting that counts further MB; empty: there is none."""


@dataclass(frozen=True)
class SlotEngine:
    """The settings of a family's engine that keeps streams in slots, as far as memory depends on them."""

    enabled_by: Mapping[str, str]
    """Setting -> the value with which this engine serves the family; otherwise `gpu_memory` counts."""
    slots: str
    """The setting of the number of slots; 0: as many as memory allows."""
    least_slots: int
    most_slots: int
    positions: str
    """The setting of the positions in a slot."""
    position_choices: tuple[int, ...]
    """The positions to try where the setting is empty, best first."""
    precision: str
    """The setting of the precision."""
    bytes_per_number: Mapping[str, int]
    """The precision's value -> bytes; the key "" is the default."""


@dataclass(frozen=True)
class Model:
    """One servable model; `id` is its folder in the repository, its HTTP name and its gRPC name."""

    id: str
    family: str
    kind: Kind
    mode: Mode
    interface: InterfaceName
    adapter: Path
    """The Python file whose `TritonPythonModel` Triton runs."""
    environment: str
    """The environment that its process runs in; a file in requirements/."""
    owner: str
    summary: str = ""
    """One line for the documentation."""
    names: tuple[str, ...] = ()
    """Further words that TTS_MODES or STT_MODELS may use for it."""
    weights: str = ""
    """The folder that holds its weights: below MODEL_DIR, or absolute for a further checkpoint; empty: it has none."""
    size: str = ""
    """The word of MODEL_TYPE that chooses it, where its mode comes in several sizes."""
    options: tuple[str, ...] = ()
    """The request options that it supports."""
    voice_aliases: Mapping[str, str] = field(default_factory=dict)
    """OpenAI's voice name -> the model's own."""
    gpu_memory: float = 0.0
    """GB of GPU memory that an instance takes; 0: it runs on the CPU."""
    variant_memory: Mapping[str, float] = field(default_factory=dict)
    """Variant -> the same for that variant."""
    gpu_capability: tuple[int, ...] = (0, 0)
    """The least compute capability of a GPU that it runs on."""
    slot_memory: SlotMemory | None = None
    path_settings: tuple[str, ...] = ()
    """Settings that name another checkpoint to serve in its place, the strongest first."""
    recognized_by: Mapping[str, Any] = field(default_factory=dict)
    """Fields of a checkpoint's config.json and their values -> a folder that has them holds a model like this one."""
    loaded_with: Kind | None = None
    """Of a companion: the kind of model that it is loaded with; None: it is always loaded."""
    max_batch_size: int = 0
    """The most requests in one call of the model; 0: the model schedules its requests itself."""
    max_queue_delay_us: int = 0
    """Microseconds that Triton waits for a batch to fill."""


@dataclass(frozen=True)
class Family:
    """A model family."""

    name: str
    """Its folder's name."""
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
            defaults = data["family"]
            models = {id_: _model(folder, id_, {**defaults, **entry}) for id_, entry in data["models"].items()}
            settings = {name: Setting(name, **_tuples(entry)) for name, entry in data.get("settings", {}).items()}
            variants = {name: _variant(**entry) for name, entry in data.get("variants", {}).items()}
            engine = data.get("slot_engine")
            conversion = data.get("conversion")
            return cls(
                folder.name,
                folder,
                models,
                settings,
                variants,
                SlotEngine(**_tuples(engine)) if engine else None,
                Conversion(**_tuples(conversion)) if conversion else None,
            )
        except OSError as error:
            raise FamilyFileError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise FamilyFileError(f"{path}: {type(error).__name__}: {error}") from error

    def integer(self, name: str) -> Setting[int]:
        """Return the setting of this name, whose value is a whole number."""
        setting: Setting[int] = self.settings[name]
        assert isinstance(setting.default, int)
        return setting

    def text(self, name: str) -> Setting[str]:
        """Return the setting of this name, whose value is text."""
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
    entry = dict(entry)
    kind: Kind = entry["kind"]
    mode: Mode = entry.setdefault("mode", "transcribe" if kind == "transcription" else "companion")
    for value, allowed in ((kind, Kind), (mode, Mode)):
        if value not in get_args(allowed):
            raise ValueError(f"{id_}: {value!r} is unknown; choose from {', '.join(get_args(allowed))}")
    entry.setdefault("interface", _INTERFACES.get(mode, "speech"))
    if entry["interface"] not in INTERFACES:
        raise ValueError(f"{id_}: interface {entry['interface']!r} is unknown; choose from {', '.join(INTERFACES)}")
    entry["options"] = tuple(_expanded(id_, kind, entry.get("options", ())))
    if "slot_memory" in entry:
        entry["slot_memory"] = SlotMemory(**entry["slot_memory"])
    adapter = folder / entry.pop("adapter", "model.py")
    entry.setdefault("weights", id_)
    return Model(id=id_, family=folder.name, adapter=adapter, **_tuples(entry))


def _expanded(id_: str, kind: Kind, options: list[str]) -> Iterator[str]:
    """Yield the option names; a group's name stands for each option that SpeechOptions declares in it."""
    if kind not in _OPTIONS:
        return
    declared = _OPTIONS[kind]
    groups = declared.groups()
    for name in options:
        if name not in groups and name not in declared.types():
            raise ValueError(f"{id_}: option {name!r} is not in the contract")
        yield from groups.get(name, (name,))


def _variant(setting: str, values: Mapping[str, list[int]]) -> Variant:
    return Variant(setting, {value: tuple(least) for value, least in values.items()})


def _tuples(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
