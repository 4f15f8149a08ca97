from __future__ import annotations

import numpy as np
import pytest

from adapters.speech.joins import prepare_join
from adapters.speech.text_splitter import Break
from tritone.contract import SPEECH_RATE


def tone(before: float, seconds: float, after: float) -> np.ndarray:
    """Return a tone of 0.5 between silences, as a network makes them."""
    sound = 0.5 * np.sin(np.arange(int(seconds * SPEECH_RATE)) / 20)
    return np.concatenate([np.zeros(int(before * SPEECH_RATE)), sound, np.zeros(int(after * SPEECH_RATE))]).astype("f4")


def test_silence_around_a_part_is_trimmed_to_the_same_length() -> None:
    short, long = (prepare_join(tone(edge, 1.0, edge), Break.WORD, 1.0) for edge in (0.2, 0.9))
    assert len(short) / SPEECH_RATE == pytest.approx(1.15, abs=0.01)
    assert np.allclose(short, long, atol=1e-6)


def test_part_begins_and_ends_at_zero_so_that_joins_do_not_click() -> None:
    loud_to_the_edges = tone(0, 1.0, 0)
    joined = prepare_join(loud_to_the_edges, Break.WORD, 1.0)
    assert joined[0] == joined[-1] == 0.0
    assert np.abs(np.diff(joined)).max() < 0.05


def test_stronger_break_gives_a_longer_pause() -> None:
    lengths = [len(prepare_join(tone(0.3, 1.0, 0.5), end, 1.0)) for end in sorted(Break)[1:]]
    assert lengths == sorted(set(lengths))


def test_pause_is_divided_by_the_speed() -> None:
    slow, fast = (len(prepare_join(tone(0.3, 1.0, 0.5), Break.LINE, speed)) for speed in (0.5, 1.0))
    assert slow - fast == SPEECH_RATE // 2


def test_silence_gives_no_samples() -> None:
    assert len(prepare_join(np.zeros(1000, np.float32), Break.SENTENCE, 1.0)) == 0
    assert len(prepare_join(np.zeros(0, np.float32), Break.SENTENCE, 1.0)) == 0
