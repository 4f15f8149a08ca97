from __future__ import annotations

import numpy as np
import pytest

from adapters.kokoro.parts import Break
from adapters.kokoro.seams import join_ready
from tritone.contract import SPEECH_RATE


def spoken(before: float, seconds: float, after: float) -> np.ndarray:
    """A tone of 0.5 between silences, as Kokoro makes them."""
    tone = 0.5 * np.sin(np.arange(int(seconds * SPEECH_RATE)) / 20)
    return np.concatenate([np.zeros(int(before * SPEECH_RATE)), tone, np.zeros(int(after * SPEECH_RATE))]).astype("f4")


def test_the_silence_around_a_part_is_cut_to_the_same_size_whatever_it_was() -> None:
    short, long = (join_ready(spoken(edge, 1.0, edge), Break.WORD, 1.0) for edge in (0.2, 0.9))
    assert len(short) / SPEECH_RATE == pytest.approx(1.15, abs=0.01)
    assert np.allclose(short, long, atol=1e-6)


def test_a_part_begins_and_ends_at_zero_so_that_seams_do_not_click() -> None:
    loud_to_the_edges = spoken(0, 1.0, 0)
    joined = join_ready(loud_to_the_edges, Break.WORD, 1.0)
    assert joined[0] == joined[-1] == 0.0
    assert np.abs(np.diff(joined)).max() < 0.05


def test_the_stronger_the_break_the_longer_the_pause() -> None:
    lengths = [len(join_ready(spoken(0.3, 1.0, 0.5), end, 1.0)) for end in sorted(Break)[1:]]
    assert lengths == sorted(set(lengths))


def test_pauses_follow_the_speed() -> None:
    slow, fast = (len(join_ready(spoken(0.3, 1.0, 0.5), Break.LINE, speed)) for speed in (0.5, 1.0))
    assert slow - fast == SPEECH_RATE // 2


def test_silence_alone_gives_nothing() -> None:
    assert len(join_ready(np.zeros(1000, np.float32), Break.SENTENCE, 1.0)) == 0
    assert len(join_ready(np.zeros(0, np.float32), Break.SENTENCE, 1.0)) == 0
