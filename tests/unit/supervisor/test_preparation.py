"""Weights that cannot be fetched: a chosen model fails, a default is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor import preparation
from supervisor.errors import StartError
from supervisor.plan import Plan
from supervisor.preparation import prepare
from supervisor.settings import Settings
from tritone.catalogue import Catalogue


@pytest.fixture
def plan(settings: Callable[..., Settings], tmp_path: Path) -> Plan:
    catalogue = Catalogue.load()
    models = catalogue.choose(("qwen3-tts-0.6b",), ("base",))
    return Plan(settings(model_dir=tmp_path), catalogue, "cuda", models, fitted=True)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The steps; a fetch of the weights of Qwen3-TTS or of the speaker embedding fails."""
    taken: list[list[str]] = []

    async def step(_plan: Plan, name: str, _module: str, *arguments: str) -> None:
        taken.append([name, *arguments])
        if any(argument.startswith(("Qwen", "speaker")) for argument in arguments):
            raise StartError("not started: the weights could not be prepared")

    monkeypatch.setattr(preparation, "_step", step)
    return taken


async def test_a_default_without_weights_is_replaced_by_the_embedded_one(
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
        "the weights of qwen3-tts-0.6b cannot be fetched: the embedded defaults are served instead\n"
        "speaker-embedding cannot be fetched: served without it\n"
    )


async def test_the_speaker_embedding_is_fetched_for_transcription_but_not_required(
    plan: Plan, steps: list[list[str]]
) -> None:
    chosen = plan.catalogue.choose(("kokoro",), ("base",))
    assert (await prepare(replace(plan, models=chosen))).models == chosen
    assert ["weights", "--optional", "speaker-embedding"] in steps
    steps.clear()
    await prepare(replace(plan, models=plan.catalogue.choose(("kokoro",), ("none",))))
    assert not any("speaker-embedding" in step for step in steps)


async def test_a_default_transcription_model_is_replaced_as_well(plan: Plan, steps: list[list[str]]) -> None:
    models = plan.catalogue.choose(("qwen3-tts-0.6b",), ("turbo",))
    prepared = await prepare(replace(plan, models=models))
    assert [model.id for model in prepared.models] == ["kokoro-82m", "whisper-base"]


async def test_a_chosen_model_is_not_replaced(plan: Plan, steps: list[list[str]]) -> None:
    with pytest.raises(StartError):
        await prepare(replace(plan, fitted=False))
    assert [step[0] for step in steps].count("weights") == 1


async def test_environments_are_built_while_weights_are_fetched(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    both = asyncio.Barrier(2)

    async def step(_plan: Plan, name: str, _module: str, *arguments: str) -> None:
        if name == "environments" or "kokoro-82m" in arguments:
            await both.wait()

    monkeypatch.setattr(preparation, "_step", step)
    async with asyncio.timeout(300):
        await prepare(replace(plan, models=plan.catalogue.choose(("kokoro",), ("none",)), fitted=False))


async def test_a_failed_fetch_stops_the_building_of_environments(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = []

    async def step(_plan: Plan, name: str, _module: str, *_arguments: str) -> None:
        if name == "weights":
            await asyncio.sleep(0)
            raise StartError("no weights")
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(name)

    monkeypatch.setattr(preparation, "_step", step)
    with pytest.raises(StartError, match="no weights"):
        await prepare(replace(plan, fitted=False))
    assert stopped == ["environments"]


async def test_a_wrong_checkpoint_in_a_setting_is_an_error(
    plan: Plan, steps: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUSTOM_VOICE_MODEL_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(StartError, match=r"nowhere/config\.json is missing"):
        await prepare(replace(plan, fitted=False))
    assert steps == []
