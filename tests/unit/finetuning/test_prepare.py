"""Recordings become clips with texts, a stopped preparation goes on, and the user's corrections stay."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetuning import clip_table
from finetuning.errors import FineTuningError
from finetuning.project import Project
from finetuning.recordings.audio import Cut, Recording, trimmed
from finetuning.recordings.prepare import Preparation
from finetuning.wav import read_wav
from tests.unit.finetuning.recordings import silence, speech, write


def project(tmp_path: Path, recordings: Path, **options: object) -> Project:
    model_dir = tmp_path / "models"
    return Project.begin(tmp_path / "minsu", model_dir, {"recordings": str(recordings), **options})


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of two clips, in stereo at 48 kHz and in mono at 16 kHz, and their reference."""
    write(tmp_path / "one.wav", np.concatenate([silence(1, 48_000), speech(2, 48_000)]), 48_000, channels=2)
    write(tmp_path / "two.wav", speech(1.5, 16_000), 16_000)
    write(tmp_path / "ref.wav", speech(3))
    lines = [{"audio": f"{name}.wav", "text": f"{name} .", "ref_audio": "ref.wav"} for name in ("one", "two")]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_listed_clips_are_brought_to_24_khz_mono_and_trimmed(tmp_path: Path, listed: Path) -> None:
    made = project(tmp_path, listed, language="Korean", speaker="MinSu")
    one, two = Preparation(made, "").run()
    assert (one.text, one.speaker, one.language, one.rate, one.confidence) == ("one .", "minsu", "ko", 48_000, None)
    assert two.rate == 16_000
    assert two.seconds == pytest.approx(1.5, abs=0.1)
    assert one.seconds == pytest.approx(2.2, abs=0.1)
    samples = read_wav(made.folder / one.audio)
    assert len(samples) == pytest.approx(one.seconds * 24_000, abs=240)
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.02)
    assert one.ref_audio == two.ref_audio
    assert len(read_wav(made.folder / one.ref_audio)) == pytest.approx(3 * 24_000, abs=4_000)
    assert clip_table.read(made.table) == [one, two]


def test_corrected_texts_and_deleted_lines_stay_as_the_user_left_them(tmp_path: Path, listed: Path) -> None:
    made = project(tmp_path, listed)
    one, _ = Preparation(made, "").run()
    clip_table.write(made.table, [replace(one, text="Corrected.")])
    write(tmp_path / "three.wav", speech(1))
    listed.write_text(listed.read_text() + '{"audio": "three.wav", "text": "three"}\n')
    assert [row.text for row in Preparation(made, "").run()] == ["Corrected.", "three"]


def test_stopped_preparation_goes_on_behind_the_last_complete_recording(
    tmp_path: Path, listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = project(tmp_path, listed)
    read: list[str] = []
    samples = Recording.samples

    def stop_at_two(self: Recording) -> object:
        read.append(self.path.name)
        if self.path.name == "two.wav" and read.count("two.wav") == 1:
            raise KeyboardInterrupt
        return samples(self)

    monkeypatch.setattr(Recording, "samples", stop_at_two)
    with pytest.raises(KeyboardInterrupt):
        Preparation(made, "").run()
    assert not made.table.exists()
    assert len(Preparation(made, "").run()) == 2
    assert (read.count("one.wav"), read.count("two.wav")) == (1, 2)


def test_clips_of_a_recording_that_is_gone_are_removed_and_the_old_table_is_kept(tmp_path: Path, listed: Path) -> None:
    made = project(tmp_path, listed)
    one, two = Preparation(made, "").run()
    listed.write_text(listed.read_text().splitlines()[1] + "\n")
    assert Preparation(made, "").run() == [two]
    assert not (made.folder / one.audio).exists()
    assert clip_table.read(made.table.with_suffix(".before.csv")) == [one, two]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"RIFF....", "bad.wav cannot be decoded as audio: replace or remove it"),
        (None, "bad.wav has 8000 Hz: record at 24000 Hz or more"),
    ],
)
def test_unusable_recording_is_rejected_by_name(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "bad.wav"
    if content is None:
        write(path, speech(1, 8_000), 8_000)
    else:
        path.write_bytes(content)
    listed = tmp_path / "list.csv"
    listed.write_text("audio,text\nbad.wav,Hello.\n")
    made = project(tmp_path, listed)
    with pytest.raises(FineTuningError, match=message):
        Preparation(made, "").run()
    assert not made.table.exists()


def test_cuts_of_a_long_recording_hold_their_own_samples(tmp_path: Path) -> None:
    samples = np.concatenate([speech(3, hertz=100 + 50 * i) for i in range(4)])
    recording = Recording(write(tmp_path / "long.wav", samples))
    cuts = [Cut(0.5, 1.0), Cut(2.75, 3.5), Cut(9.0, 12.0)]
    for cut, part in zip(cuts, recording.parts(cuts), strict=True):
        wanted = samples[round(cut.start * 24_000) : round(cut.end * 24_000)]
        assert np.abs(part - wanted).max() < 1e-3


def test_trimmed_clip_has_a_short_silence_at_both_ends() -> None:
    spoken = speech(2)
    samples, dropped = trimmed(np.concatenate([silence(1), spoken, silence(3)]))
    assert dropped / 24_000 == pytest.approx(0.8, abs=0.05)
    assert len(samples) / 24_000 == pytest.approx(2.4, abs=0.1)


def test_missing_detector_is_told_with_the_command_that_fetches_it(tmp_path: Path) -> None:
    write(tmp_path / "in" / "a.wav", speech(1))
    with pytest.raises(FineTuningError, match="scripts/fetch_models silero-vad"):
        Preparation(project(tmp_path, tmp_path / "in"), "whisper-base").run()


def test_recording_is_cut_at_pauses_and_transcribed(tmp_path: Path, weights: Path) -> None:
    """Two sentences of a reader, with a pause that no clip of six seconds can span."""
    parts = []
    for number in ("0880", "0930"):
        path = weights / f"test-recordings/librivox/sense_and_sensibility_01_austen_64kb-{number}.wav"
        parts += [Recording(path).samples(), silence(6)]
    write(tmp_path / "in" / "chapter.wav", np.concatenate(parts))
    made = Project.begin(
        tmp_path / "minsu", weights, {"recordings": str(tmp_path / "in"), "language": "en", "clip_seconds": 6}
    )
    first, second = Preparation(made, "whisper-base").run()
    assert "ill-disposed young man" in first.text.replace("ill disposed", "ill-disposed")
    assert "made amiable himself" in second.text
    assert first.start == pytest.approx(0.2, abs=0.4)
    assert second.start == pytest.approx(9.2, abs=0.5)
    assert 0.5 < (first.confidence or 0) <= 1
    assert (first.heard, first.recording) == ("en", "chapter.wav")
