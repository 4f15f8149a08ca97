"""The proof: what is taught is what the server asks for. Each fault of the published script makes it fail.

All these trainings have a perfect loss curve; only decoding shows what was learned.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from finetuning.errors import FineTuningError
from finetuning.training import probe
from tests.unit.finetuning.training.faults import FAULTS
from tests.unit.finetuning.training.tiny import (
    EngineSpeaker,
    PackageSpeaker,
    Voice,
    plan_of,
    right_utterances,
    train_voice,
    write_start,
)


@pytest.fixture(scope="module", params=["0.6B", "1.7B"])
def proved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Voice:
    if request.param == "1.7B":
        return request.getfixturevalue("voice")
    folder = tmp_path_factory.mktemp("small")
    return train_voice(write_start(folder / "start", "0.6B"), folder)


@pytest.mark.parametrize("speaker", [PackageSpeaker, EngineSpeaker])
def test_greedy_decoding_gives_back_every_code_and_end_with_whole_and_streamed_text(
    proved: Voice, speaker: type[PackageSpeaker | EngineSpeaker]
) -> None:
    assert proved.losses.talker_accuracy == proved.losses.predictor_accuracy == 1
    assert right_utterances(speaker(proved.folder), proved.dataset) == [True] * 8


@pytest.mark.parametrize("fault", FAULTS)
def test_training_with_a_published_fault_learns_well_and_speaks_wrong(
    fault: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FAULTS[fault](monkeypatch)
    voice = train_voice(base, tmp_path, copies=24, streamed_share=0.0)
    assert voice.losses.talker_accuracy > 0.95
    assert voice.losses.predictor_accuracy > 0.95
    assert not all(right_utterances(EngineSpeaker(voice.folder), voice.dataset, layouts=[False]))


@pytest.mark.parametrize("fault", FAULTS)
def test_probe_finds_each_published_fault(fault: str, voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(voice.folder)
    assert probe(plan, voice.dataset) == ""
    FAULTS[fault](monkeypatch)
    with pytest.raises(FineTuningError, match="nothing was trained"):
        probe(plan, voice.dataset)


def test_probe_says_that_it_cannot_judge_random_weights(base: Path, voice: Voice) -> None:
    assert "no better than chance" in probe(plan_of(base), voice.dataset)
