"""The model repository of a run, made from the clone's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from supervisor.plan import REPOSITORY, Plan
from supervisor.repository import lay_out
from supervisor.settings import Settings
from tritone.catalogue import Catalogue


def plan(settings: Settings, **further: str) -> Plan:
    like = dict.fromkeys(further, "qwen3-tts-0.6b")
    catalogue = Catalogue.load().with_extra(like)
    models = [*catalogue.choose(("qwen3-tts-0.6b",), ("base",)), *(catalogue.models[id_] for id_ in further)]
    return Plan(settings, catalogue, "cpu", models, like=like, checkpoints={k: Path(v) for k, v in further.items()})


def test_each_chosen_model_has_its_code_and_both_configurations(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    repository = lay_out(tmp_path, plan(settings()))
    there = sorted(path.name for path in repository.iterdir())
    assert there == ["qwen3-tts-0.6b", "whisper-base", "whisper-base-long"]
    model = repository / "whisper-base"
    assert (model / "1" / "model.py").resolve() == REPOSITORY / "whisper-base" / "1" / "model.py"
    own = (REPOSITORY / "whisper-base" / "config.pbtxt").read_text()
    written = (model / "config.pbtxt").read_text()
    assert written == own.replace("$$TRITON_MODEL_DIRECTORY/../..", str(REPOSITORY.parent))
    assert "KIND_CPU" in (model / "configs" / "cpu.pbtxt").read_text()


def test_the_number_of_instances_is_that_of_the_settings(settings: Callable[..., Settings], tmp_path: Path) -> None:
    repository = lay_out(tmp_path, plan(settings(model_instances="whisper-base=2")))
    for config in ("config.pbtxt", "configs/cpu.pbtxt"):
        assert "count: 2" in (repository / "whisper-base" / config).read_text()
        assert "count: 1" in (repository / "qwen3-tts-0.6b" / config).read_text()


def test_a_further_model_is_like_its_twin_with_a_name_and_a_checkpoint_of_its_own(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    chosen = plan(settings(extra_models='minsu=/data/min"su'), minsu='/data/min"su')
    folder = lay_out(tmp_path, chosen) / "minsu"
    for config in ("config.pbtxt", "configs/cpu.pbtxt"):
        text = (folder / config).read_text()
        assert 'name: "minsu"' in text
        assert 'name: "qwen3-tts-0.6b"' not in text
        assert 'key: "checkpoint" value { string_value: "/data/min\\"su" }' in text
        assert text.count('name: "audio"') == 1
    assert (folder / "1").resolve() == REPOSITORY / "qwen3-tts-0.6b" / "1"
