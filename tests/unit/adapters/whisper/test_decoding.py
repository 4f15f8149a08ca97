"""The fallback to higher temperatures, with a scripted decoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from faster_whisper.tokenizer import Tokenizer

from adapters.whisper.decoding import TEMPERATURES, DecodeTask, decode

LOOPING, GOOD, UNSURE, WORSE = -0.05, -0.3, -1.5, -3.0


@dataclass
class ScriptedDecoder:
    """Stand in for CTranslate2's model: `script` maps prompt and temperature to text, log probability and no-speech.

    A text that ends with `|` has a timestamp at its end.
    """

    tokenizer: Tokenizer
    script: dict[tuple[int, float], tuple[str, float, float]]
    calls: list[tuple[float, list[int]]] = field(default_factory=list)

    def generate(self, encoded, prompts, *, sampling_temperature=0.0, **options):
        self.calls.append((sampling_temperature, [prompt[0] for prompt in prompts]))
        results = []
        for prompt in prompts:
            text, logprob, no_speech = self.script[prompt[0], sampling_temperature]
            tokens = self.tokenizer.encode(text.removesuffix("|"))
            if text.endswith("|"):
                tokens.append(self.tokenizer.timestamp_begin + 1400)
            score = logprob * (len(tokens) + 1) / len(tokens)
            results.append(SimpleNamespace(sequences_ids=[tokens], scores=[score], no_speech_prob=no_speech))
        return results


@pytest.fixture(scope="session")
def tokenizer(whisper):
    return Tokenizer(whisper.hf_tokenizer, True, task="transcribe", language="en")


@pytest.fixture
def run(tokenizer):
    def run(script, *, temperatures=TEMPERATURES, lengths=None):
        decoder = ScriptedDecoder(tokenizer, script)
        windows = sorted({window for window, _ in script})
        tasks = [
            DecodeTask(np.zeros((3, 2), np.float32), [window] * (lengths or {}).get(window, 3), tokenizer, temperatures)
            for window in windows
        ]
        decode(SimpleNamespace(model=decoder, max_length=448), tasks)
        return [task.best for task in tasks], decoder.calls

    return run


def test_windows_with_prompts_of_one_length_are_decoded_together(run):
    _, calls = run({(window, 0.0): ("yes", GOOD, 0.0) for window in range(4)}, lengths={3: 9})
    assert sorted(calls) == [(0.0, [0, 1, 2]), (0.0, [3])]


def test_failed_windows_alone_are_decoded_again_at_the_next_temperature(run):
    best, calls = run(
        {
            (0, 0.0): ("yes", GOOD, 0.0),
            (1, 0.0): ("no", UNSURE, 0.0),
            (1, 0.2): ("maybe", GOOD, 0.0),
            (2, 0.0): ("la " * 40, GOOD, 0.0),
            (2, 0.2): ("la " * 40, GOOD, 0.0),
            (2, 0.4): ("do re mi", GOOD, 0.0),
        }
    )
    assert calls == [(0.0, [0, 1, 2]), (0.2, [1, 2]), (0.4, [2])]
    assert [decoded.temperature for decoded in best] == [0.0, 0.2, 0.4]
    assert [decoded.avg_logprob for decoded in best] == [pytest.approx(GOOD)] * 3


def test_window_without_speech_is_silent_and_not_decoded_again(run):
    [decoded], calls = run({(0, 0.0): ("you", UNSURE, 0.9)})
    assert len(calls) == 1
    assert decoded.silent


def test_window_with_probable_words_is_not_silent(run):
    [decoded], _ = run({(0, 0.0): ("you", GOOD, 0.9)})
    assert not decoded.silent


def test_best_of_failed_attempts_is_the_most_probable_without_repetition(run):
    script = {(0, temperature): ("no", WORSE, 0.0) for temperature in TEMPERATURES}
    script[0, 0.2] = ("la " * 40, GOOD, 0.0)
    script[0, 0.6] = ("better", UNSURE, 0.0)
    [decoded], calls = run(script)
    assert len(calls) == len(TEMPERATURES)
    assert decoded.temperature == 0.6


def test_best_of_repetitive_attempts_ends_with_a_timestamp(run):
    script = {(0, temperature): ("la " * 60, LOOPING, 0.0) for temperature in TEMPERATURES}
    script[0, 0.2] = ("la " * 30 + "|", GOOD, 0.0)
    script[0, 1.0] = ("la " * 20 + "|", UNSURE, 0.0)
    [decoded], calls = run(script)
    assert len(calls) == len(TEMPERATURES)
    assert decoded.temperature == 0.2


def test_best_of_endless_loops_is_the_most_probable(run):
    script = {(0, temperature): ("la " * 60, GOOD, 0.0) for temperature in TEMPERATURES}
    script[0, 0.4] = ("la " * 70, LOOPING, 0.0)
    [decoded], _ = run(script)
    assert decoded.temperature == 0.4


def test_single_temperature_has_a_single_attempt(run):
    [decoded], calls = run({(0, 0.7): ("la " * 40, WORSE, 0.0)}, temperatures=(0.7,))
    assert calls == [(0.7, [0])]
    assert decoded.repetitive
