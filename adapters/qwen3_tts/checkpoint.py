"""The checkpoint of a model, and its abilities: read from config.json, before torch is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.qwen3_tts.settings import FAMILY
from adapters.triton.instance import Instance
from tritone.checkpoints import UnusableCheckpointError, by_setting, template_of
from tritone.contract import SpeechDescription, Voice
from tritone.families import Mode, Model
from tritone.languages import code_of, is_auto


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a Qwen3-TTS model."""

    folder: Path
    model: Model
    """The published model that it is like."""
    speakers: tuple[str, ...]
    languages: Mapping[str, str]
    """Language code -> the checkpoint's name of the language."""

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Read the config; raises `UnusableCheckpointError`."""
        model = template_of(folder, FAMILY)
        try:
            talker: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))["talker_config"]
            languages = {code_of(name): name for name in talker["codec_language_id"]}
            return cls(
                folder=folder,
                model=model,
                speakers=tuple(talker.get("spk_id") or ()),
                languages={code: name for code, name in languages.items() if code},  # dialects belong to speakers
            )
        except (KeyError, TypeError) as error:
            raise UnusableCheckpointError(f"{folder / 'config.json'} is not of a Qwen3-TTS model: {error!r}") from None

    @property
    def mode(self) -> Mode:
        """Custom voice, voice design or voice clone."""
        return self.model.mode

    @property
    def size(self) -> str:
        """0.6b or 1.7b."""
        return self.model.size

    @property
    def supported_options(self) -> tuple[str, ...]:
        """The request options that this model supports."""
        return self.model.options

    def default_language(self, setting: str) -> str:
        """Return the language code of DEFAULT_LANGUAGE, or `auto`; raises `ValueError` for an unknown one."""
        if is_auto(setting):
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
            options=self.supported_options,
        )


def choose(instance: Instance, environ: Mapping[str, str] = os.environ) -> Checkpoint:
    """Return the checkpoint of a model of the repository; raises `UnusableCheckpointError`.

    It is the first of these that exists: the config's parameter `checkpoint` (a path, below MODEL_DIR unless absolute);
    a setting such as CUSTOM_VOICE_0_6B_MODEL_PATH, or CUSTOM_VOICE_MODEL_PATH if that checkpoint has the model's size
    (both relative to the clone); the published folder below MODEL_DIR.
    """
    if path := instance.parameters.get("checkpoint"):
        return Checkpoint.read(instance.model_dir / path)
    model = FAMILY.models[instance.model]
    return Checkpoint.read(by_setting(model, FAMILY, environ) or instance.model_dir / model.weights)


def _title(speaker: str) -> str:
    return "_".join(part[:1].upper() + part[1:] for part in speaker.split("_"))
