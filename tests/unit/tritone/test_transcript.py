"""Transcripts as tensors."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tritone.contract import TRANSCRIPTION
from tritone.transcript import Segment, Transcript, Word

_NUMPY = {"BYTES": np.object_, "FP32": np.float32, "INT32": np.int32}

numbers = st.floats(-1000, 1000, width=32)
text = st.text(st.characters(exclude_categories=["Cs"]))
words = st.builds(Word, start=numbers, end=numbers, text=text, probability=numbers)
plain_segments = st.builds(
    Segment,
    start=numbers,
    end=numbers,
    text=text,
    tokens=st.just(()),
    temperature=numbers,
    avg_logprob=numbers,
    compression_ratio=numbers,
    no_speech_prob=numbers,
    words=st.lists(words, max_size=3).map(tuple),
)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """All segments with the tokens' texts and log probabilities, or none."""
    logprobs = draw(st.booleans())
    segments = []
    for segment in draw(st.lists(plain_segments, max_size=4)):
        tokens = draw(st.lists(st.tuples(st.integers(0, 51865), numbers, st.binary(max_size=4)), max_size=5))
        ids, scores, texts = zip(*tokens, strict=True) if tokens else ((), (), ())
        told: dict[str, Any] = {"token_logprobs": scores, "token_texts": texts} if logprobs else {}
        segments.append(replace(segment, tokens=ids, **told))
    return Transcript(draw(st.sampled_from(["en", "zh"])), draw(numbers), tuple(segments))


@given(transcripts())
def test_a_transcript_survives_the_wire(transcript: Transcript) -> None:
    assert Transcript.from_columns(transcript.to_columns()) == transcript


@given(transcripts())
def test_its_columns_are_the_tensors_of_the_contract(transcript: Transcript) -> None:
    columns = transcript.to_columns()
    assert set(columns) == {tensor.name for tensor in TRANSCRIPTION.outputs}
    for tensor in TRANSCRIPTION.outputs:
        assert columns[tensor.name].dtype == _NUMPY[tensor.dtype], tensor.name
        assert columns[tensor.name].shape[0] == 1
        assert tensor.shape == (-1,) or columns[tensor.name].shape == (1, *tensor.shape)


def test_shifting_moves_segments_and_their_words() -> None:
    segment = Segment(1.0, 2.0, " a", (1,), 0.0, -0.1, 1.0, 0.0, (Word(1.0, 1.5, " a", 0.9),))
    later = segment.shifted(10.0)
    assert (later.start, later.end, later.words[0].start, later.words[0].end) == (11.0, 12.0, 11.0, 11.5)
