from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.kokoro.settings import FAMILY as KOKORO
from adapters.qwen3_tts.settings import FAMILY as QWEN
from adapters.triton.instance import Instance
from tritone.families import ROOT


def instance(model: str, environ: dict[str, str], **parameters: str) -> Instance:
    config = {"parameters": {name: {"string_value": value} for name, value in parameters.items()}}
    args = {
        "model_name": model,
        "model_config": json.dumps(config),
        "model_instance_kind": "GPU",
        "model_instance_device_id": "1",
    }
    return Instance.from_args(args, environ)


def test_folder_is_below_the_setting_model_dir() -> None:
    assert instance("whisper-base", {"MODEL_DIR": "/weights"}).folder == Path("/weights/whisper-base")
    assert instance("whisper-base", {"MODEL_DIR": "/weights"}).model_dir == Path("/weights")


def test_relative_model_dir_is_below_the_clone() -> None:
    assert instance("whisper-base", {}).folder == (ROOT / "models").resolve() / "whisper-base"


def test_arguments_and_settings_are_read() -> None:
    read = instance("whisper-base", {"CPU_THREADS": "3"}, checkpoint="ours")
    assert (read.device, read.device_index, read.threads) == ("cuda", 1, 3)
    assert read.parameters == {"checkpoint": "ours"}


@pytest.mark.parametrize(
    ("model", "parameters", "entry"),
    [
        ("qwen3-tts-1.7b", {}, "qwen3-tts-1.7b"),
        ("our-voice", {"template": "qwen3-tts-1.7b-design"}, "qwen3-tts-1.7b-design"),
    ],
)
def test_family_entry_is_the_models_own_or_its_templates(model: str, parameters: dict[str, str], entry: str) -> None:
    assert instance(model, {}, **parameters).entry_in(QWEN).id == entry


def test_family_entry_of_an_unknown_checkpoint_without_template_is_the_first() -> None:
    assert instance("our-voice", {}).entry_in(KOKORO).id == "kokoro-82m"
