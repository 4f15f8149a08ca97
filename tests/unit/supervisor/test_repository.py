"""The model repository of a run, made from the clone's own."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.environments import Environment
from supervisor.model_config import CLONE
from supervisor.plan import REPOSITORY, Plan
from supervisor.repository import lay_out
from supervisor.settings import Settings
from tritone.catalogue import Catalogue


def plan(settings: Settings, **extra: str) -> Plan:
    templates = dict.fromkeys(extra, "qwen3-tts-0.6b")
    catalogue = Catalogue.load().with_extra(templates, {})
    models = [*catalogue.choose(("qwen3-tts-0.6b",), ("base",)), *(catalogue.models[id_] for id_ in extra)]
    checkpoints = {id_: Path(folder) for id_, folder in extra.items()}
    return Plan(settings, catalogue, "cpu", models, templates=templates, checkpoints=checkpoints)


def test_each_loaded_model_has_its_code_and_its_configurations(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    repository = lay_out(tmp_path, plan(settings()))
    names = sorted(path.name for path in repository.iterdir())
    assert names == ["qwen3-tts-0.6b", "transcription-long", "tritone", "whisper-base"]
    model = repository / "whisper-base"
    assert (model / "1" / "model.py").resolve() == REPOSITORY / "whisper-base" / "1" / "model.py"
    own = (REPOSITORY / "whisper-base" / "config.pbtxt").read_text()
    written = (model / "config.pbtxt").read_text()
    assert written == own.replace(f"{CLONE}/envs/whisper", str(Environment("whisper").folder))
    assert "KIND_CPU" in (model / "configs" / "cpu.pbtxt").read_text()


def test_the_companions_get_the_path_of_the_served_document(settings: Callable[..., Settings], tmp_path: Path) -> None:
    repository = lay_out(tmp_path, plan(settings()))
    parameter = f'key: "document" value {{ string_value: "{tmp_path}/served.json" }}'
    assert parameter in (repository / "tritone" / "config.pbtxt").read_text()
    assert parameter in (repository / "transcription-long" / "config.pbtxt").read_text()
    assert "document" not in (repository / "whisper-base" / "config.pbtxt").read_text()


def test_the_number_of_instances_is_that_of_the_settings(settings: Callable[..., Settings], tmp_path: Path) -> None:
    repository = lay_out(tmp_path, plan(settings(model_instances="whisper-base=2")))
    for config in ("config.pbtxt", "configs/cpu.pbtxt"):
        assert "count: 2" in (repository / "whisper-base" / config).read_text()
        assert "count: 1" in (repository / "qwen3-tts-0.6b" / config).read_text()


def test_an_extra_model_has_the_configuration_of_its_template_with_its_name_and_checkpoint(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chosen = plan(settings(extra_models='minsu=/data/min"su'), minsu='/data/min"su')
    folder = lay_out(tmp_path, chosen) / "minsu"
    for config in ("config.pbtxt", "configs/cpu.pbtxt"):
        text = (folder / config).read_text()
        assert 'name: "minsu"' in text
        assert 'name: "qwen3-tts-0.6b"' not in text
        assert 'key: "template" value { string_value: "qwen3-tts-0.6b" }' in text
        assert 'key: "checkpoint" value { string_value: "/data/min\\"su" }' in text
        assert text.count('name: "audio"') == 1
    assert (folder / "1").resolve() == REPOSITORY / "qwen3-tts-0.6b" / "1"


def test_a_link_that_moves_to_another_python_does_not_change_a_run(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    link = Environment("whisper").link
    if link.is_dir() and not link.is_symlink():
        pytest.skip("an image has the environment itself there")
    model = lay_out(tmp_path, plan(settings())) / "whisper-base"
    assert str(link) not in (model / "config.pbtxt").read_text()


def test_a_model_of_an_extra_family_is_generated_and_imports_its_adapter(
    settings: Callable[..., Settings], tmp_path: Path, extra_family: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTRA_FAMILIES", str(extra_family))
    catalogue = Catalogue.load()
    chosen = Plan(settings(), catalogue, "cpu", [catalogue.models["bark-small"]])
    folder = lay_out(tmp_path, chosen) / "bark-small"
    for config in ("config.pbtxt", "configs/cpu.pbtxt"):
        assert f'"{Environment("bark").folder}"' in (folder / config).read_text()
    code = f"import runpy, json; model = runpy.run_path({str(folder / '1' / 'model.py')!r})['TritonPythonModel']; "
    code += "import tritone.contract; print(json.dumps([model.name, tritone.contract.__file__]))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    contract = importlib.util.find_spec("tritone.contract")
    assert contract
    assert json.loads(ran.stdout) == ["bark.model", contract.origin]
