"""The checkpoint of a model, and its abilities: read from config.json, before torch is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.triton.instance import Instance
from tritone.catalogue import Catalogue, Mode, Model
from tritone.contract import SpeechDescription, Voice
from tritone.languages import code_of

_ROOT = Path(__file__).resolve().parents[2]
_MODES: Mapping[str, Mode] = {"custom_voice": "custom_voice", "voice_design": "voice_design", "base": "voice_clone"}
_SIZES = {"0b6": "0.6b", "1b7": "1.7b"}
_SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "subtalker_temperature",
    "subtalker_top_k",
    "subtalker_top_p",
    "repetition_penalty",
    "max_new_tokens",
    "streaming_text",
    "seed",
)


class UnusableCheckpointError(Exception):
    """A checkpoint is missing or is not the right one. The message names the right one."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a Qwen3-TTS model."""

    folder: Path
    mode: Mode
    size: str
    """0.6b or 1.7b, the sizes of the catalogue."""
    speakers: tuple[str, ...]
    languages: Mapping[str, str]
    """Language code -> the checkpoint's name of the language."""

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Read the config; raises `UnusableCheckpointError`."""
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            talker: dict[str, Any] = config["talker_config"]
            languages = {code_of(name): name for name in talker["codec_language_id"]}
            return cls(
                folder=folder,
                mode=_MODES[config["tts_model_type"]],
                size=_SIZES[config["tts_model_size"]],
                speakers=tuple(talker.get("spk_id") or ()),
                languages={code: name for code, name in languages.items() if code},  # dialects belong to speakers
            )
        except FileNotFoundError:
            raise UnusableCheckpointError(f"{folder / 'config.json'} is missing; put a checkpoint there") from None
        except (ValueError, KeyError, TypeError) as error:
            raise UnusableCheckpointError(f"{folder / 'config.json'} is not of a Qwen3-TTS model: {error!r}") from None

    @property
    def supported_options(self) -> tuple[str, ...]:
        """The request options that this model supports. The 0.6B CustomVoice does not support `instruct`."""
        own: Mapping[Mode, tuple[str, ...]] = {
            "custom_voice": ("voice", "instruct") if self.size == "1.7b" else ("voice",),
            "voice_design": ("instruct",),
            "voice_clone": ("ref_text", "x_vector_only"),
        }
        return ("language", *own[self.mode], *_SAMPLING)

    def default_language(self, setting: str) -> str:
        """Return the language code of DEFAULT_LANGUAGE, or `auto`; raises `ValueError` for an unknown one."""
        if setting.lower() in ("", "auto"):
            return "auto"
        code = code_of(setting)
        if code is None or code not in self.languages:
            choice = ", ".join(self.languages.values())
            raise ValueError(f"DEFAULT_LANGUAGE={setting} is not supported; choose Auto or one of: {choice}")
        return code

    def describe(self, default_speaker: str) -> SpeechDescription:
        """Describe the model. The default voice is `default_speaker`, in any case, or else the first voice."""
        by_name = {speaker.lower(): speaker for speaker in self.speakers}
        first = next(iter(self.speakers), "")
        return SpeechDescription(
            voices=tuple(Voice(id=speaker, name=_title(speaker)) for speaker in self.speakers),
            languages=tuple(self.languages),
            default_voice=by_name.get(default_speaker.lower(), first),
            speed_range=(1.0, 1.0),
            follows=self.supported_options,
        )


def choose(instance: Instance, environ: Mapping[str, str] = os.environ) -> Checkpoint:
    """Return the checkpoint of a model of the repository; raises `UnusableCheckpointError`.

    It is the first of these that exists: the config's parameter `checkpoint` (a path, below MODEL_DIR unless absolute);
    a setting such as CUSTOM_VOICE_0_6B_MODEL_PATH, or CUSTOM_VOICE_MODEL_PATH if that checkpoint has the model's size
    (both relative to the clone); the published folder below MODEL_DIR.
    """
    model_dir = instance.folder.parent
    if path := instance.parameters.get("checkpoint"):
        return Checkpoint.read(model_dir / path)
    model = Catalogue.load().models[instance.model]
    return by_setting(model, environ) or Checkpoint.read(model_dir / model.folder)


def by_setting(model: Model, environ: Mapping[str, str] = os.environ) -> Checkpoint | None:
    """Return the checkpoint that a setting gives this model, or None; raises `UnusableCheckpointError`."""
    mode = model.mode.upper()
    for_size = f"{mode}_{model.size.replace('.', '_').upper()}_MODEL_PATH"
    for setting in (for_size, f"{mode}_MODEL_PATH") if model.size else ():
        if path := environ.get(setting):
            checkpoint = Checkpoint.read(_ROOT / Path(path).expanduser())
            if checkpoint.mode != model.mode:
                raise UnusableCheckpointError(f"{setting}={path} holds a {checkpoint.mode} model, not {model.mode}")
            if checkpoint.size == model.size:
                return checkpoint
            if setting == for_size:
                raise UnusableCheckpointError(f"{setting}={path} holds a model of {checkpoint.size}, not {model.size}")
    return None


def _title(speaker: str) -> str:
    return "_".join(part[:1].upper() + part[1:] for part in speaker.split("_"))
