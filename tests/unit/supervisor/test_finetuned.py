"""Checkpoints below MODEL_DIR/finetuned are found, and their changes are noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.finetuned import Checkpoint, changes, scan
from supervisor.plan import Plan
from supervisor.settings import Settings
from tests.unit.supervisor.checkpoints import write_checkpoint


def test_folder_with_a_config_is_a_checkpoint_and_others_are_none(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "minsu")
    write_checkpoint(tmp_path, ".half-written")
    (tmp_path / "finetuned" / "empty").mkdir()
    assert {id_: found.folder for id_, found in scan(tmp_path).items()} == {"minsu": tmp_path / "finetuned" / "minsu"}


def test_missing_folder_has_no_checkpoints(tmp_path: Path) -> None:
    assert scan(tmp_path) == {}


async def test_new_replaced_and_removed_checkpoints_are_reported_once_each(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path, "minsu")
    known: dict[str, Checkpoint] = {}
    seen = changes(tmp_path, known, poll=0.01)
    async with asyncio.timeout(300):
        change = await anext(seen)
        assert (change.gone, list(change.new)) == ((), ["minsu"])
        known.update(change.new)
        (folder / "model.safetensors").write_bytes(b"other weights")
        change = await anext(seen)
        assert (change.gone, list(change.new)) == (("minsu",), ["minsu"])
        known.update(change.new)
        folder.rename(folder.with_name(".minsu"))
        change = await anext(seen)
        assert (change.gone, list(change.new)) == (("minsu",), [])
    await seen.aclose()


@pytest.fixture
def make_plan(settings: Callable[..., Settings], tmp_path: Path) -> Callable[..., Plan]:
    return lambda **given: Plan.make(settings(model_dir=tmp_path, device="cpu", **given))


def test_plan_builds_the_environment_of_a_finetuned_checkpoint(make_plan: Callable[..., Plan], tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "minsu")
    plan = make_plan(tts_modes="none", stt_models="none", idle_timeout="minsu=60")
    assert (plan.models, [model.id for model in plan.added]) == ([], ["minsu"])
    assert "qwen" in plan.environments


@pytest.mark.parametrize(("name", "kind"), [("tts-1", "custom_voice"), ("minsu", "unknown")])
def test_plan_leaves_out_a_checkpoint_that_cannot_be_served(
    make_plan: Callable[..., Plan], tmp_path: Path, name: str, kind: str
) -> None:
    write_checkpoint(tmp_path, name, kind)
    assert make_plan().added == []
