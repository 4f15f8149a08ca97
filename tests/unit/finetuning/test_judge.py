"""The judge hears what was said and who said it, in a process that may die."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adapters.whisper.self_test import KNOWN_AUDIO, KNOWN_WORDS
from finetuning.errors import FineTuningError
from finetuning.judge import WorkerJudge, characters
from gateway.audio.decoding import AudioFile
from tritone.contract import SPEECH_RATE


def recording() -> np.ndarray:
    with KNOWN_AUDIO.open("rb") as file:
        return np.concatenate([*AudioFile(file, SPEECH_RATE, 60, "audio").clean_blocks()])


def test_judge_transcribes_and_knows_a_speaker_again(weights: Path) -> None:
    audio = recording()
    with WorkerJudge(weights, "whisper-base") as judge:
        (text,) = judge.transcribe([audio], "english")
        assert judge.character_errors(text, KNOWN_WORDS) == (0, len(KNOWN_WORDS.replace(" ", "")))
        assert judge.character_errors("Gut!", "Güte.") == (2, 4)
        whole, half, other = judge.embed([audio, audio[: len(audio) // 2], np.flip(audio[::2]).copy()])
        assert whole @ whole == pytest.approx(1, abs=1e-5)
        assert whole @ half > whole @ other
        judge.close()
        assert judge.character_errors("a", "a") == (0, 1)  # in a new process


def test_a_judge_that_died_is_reported_and_replaced(tmp_path: Path) -> None:
    with WorkerJudge(tmp_path, "whisper-base") as judge:
        assert judge.character_errors("a", "a") == (0, 1)
        assert judge._process
        judge._process.kill()
        judge._process.wait()
        with pytest.raises(FineTuningError, match="cannot be judged"):
            judge.character_errors("a", "b")
        assert judge.character_errors("a", "b") == (1, 1)


def test_judge_without_weights_says_what_is_missing(tmp_path: Path) -> None:
    with WorkerJudge(tmp_path, "whisper-base") as judge:
        with pytest.raises(FineTuningError, match=r"cannot be judged: .*whisper-base"):
            judge.transcribe([np.zeros(24_000, np.float32)], "english")
        with pytest.raises(FineTuningError, match=r"cannot be judged: .*scripts/fetch_models speaker-embedding"):
            judge.embed([np.zeros(24_000, np.float32)])


def test_punctuation_case_and_width_are_no_characters() -> None:
    assert characters("„Größe“, \uff21B 12!") == "grösseab12"
    assert characters("안녕하세요. 你好！") == "안녕하세요你好"
