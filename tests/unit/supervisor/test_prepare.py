"""Weights that are not to be had: what is chosen fails, what is only the default gives way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor import serve
from supervisor.plan import Plan
from supervisor.serve import StartError, prepare
from supervisor.settings import Settings
from tritone.catalogue import Catalogue


@pytest.fixture
def plan(settings: Callable[..., Settings], tmp_path: Path) -> Plan:
    catalogue = Catalogue.load()
    models = catalogue.choose(("qwen3-tts-0.6b",), ("base",))
    return Plan(settings(model_dir=tmp_path), catalogue, "cuda", models, fitted=True)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The steps taken; that for weights fails where Qwen's are among them, or what tells speakers apart."""
    taken: list[list[str]] = []

    async def step(_plan: Plan, name: str, _module: str, *arguments: str) -> None:
        taken.append([name, *arguments])
        if any(argument.startswith(("Qwen", "speaker")) for argument in arguments):
            raise StartError("not started: the weights could not be made ready")

    monkeypatch.setattr(serve, "_step", step)
    return taken


async def test_a_default_whose_weights_cannot_be_had_gives_way_to_the_embedded_one(
    plan: Plan, steps: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = await prepare(plan)
    assert [model.id for model in prepared.models] == ["kokoro-82m", "whisper-base"]
    assert steps[:2] == [
        ["weights", "--optional", "Qwen3-TTS-12Hz-0.6B-CustomVoice", "whisper-base", "silero-vad"],
        ["weights", "kokoro-82m", "whisper-base", "silero-vad"],
    ]
    assert "qwen" not in steps[-1]
    assert capsys.readouterr().out == (
        "the weights of qwen3-tts-0.6b cannot be had: the embedded defaults serve instead\n"
        "speaker-embedding cannot be had: served without it\n"
    )


async def test_what_tells_speakers_apart_is_fetched_with_a_model_that_listens_but_is_no_condition(
    plan: Plan, steps: list[list[str]]
) -> None:
    chosen = plan.catalogue.choose(("kokoro",), ("base",))
    assert (await prepare(replace(plan, models=chosen))).models == chosen
    assert ["weights", "--optional", "speaker-embedding"] in steps
    steps.clear()
    await prepare(replace(plan, models=plan.catalogue.choose(("kokoro",), ("none",))))
    assert not any("speaker-embedding" in step for step in steps)


async def test_a_default_that_listens_gives_way_as_well(plan: Plan, steps: list[list[str]]) -> None:
    models = plan.catalogue.choose(("qwen3-tts-0.6b",), ("turbo",))
    prepared = await prepare(replace(plan, models=models))
    assert [model.id for model in prepared.models] == ["kokoro-82m", "whisper-base"]


async def test_a_model_that_was_asked_for_is_not_replaced(plan: Plan, steps: list[list[str]]) -> None:
    with pytest.raises(StartError):
        await prepare(replace(plan, fitted=False))
    assert len(steps) == 1


async def test_a_checkpoint_that_a_setting_names_wrongly_is_told(
    plan: Plan, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUSTOM_VOICE_MODEL_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(StartError, match=r"nowhere/config\.json is missing"):
        await prepare(replace(plan, fitted=False))
    assert steps == []
