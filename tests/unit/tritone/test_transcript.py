"""Transcripts as tensors."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.contract import LONG_TRANSCRIPTION, TRANSCRIPTION
from tritone.transcript import Segment, Transcript, Word

_NUMPY = {"BYTES": np.object_, "FP32": np.float32, "INT32": np.int32}
_TENSORS = [tensor for tensor in TRANSCRIPTION.outputs if tensor.name != "description"]

numbers = st.floats(-1000, 1000, width=32)
optional = st.none() | numbers
text = st.text(st.characters(exclude_categories=["Cs"]))
words = st.builds(Word, start=numbers, end=numbers, text=text, probability=numbers)
plain_segments = st.builds(
    Segment,
    start=numbers,
    end=numbers,
    text=text,
    tokens=st.just(()),
    temperature=optional,
    avg_logprob=optional,
    compression_ratio=optional,
    no_speech_prob=optional,
    words=st.lists(words, max_size=3).map(tuple),
)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Build transcripts in which all segments have the tokens' texts and log probabilities, or none has."""
    logprobs = draw(st.booleans())
    segments = []
    for segment in draw(st.lists(plain_segments, max_size=4)):
        tokens = draw(st.lists(st.tuples(st.integers(0, 51865), numbers, st.binary(max_size=4)), max_size=5))
        ids, scores, texts = zip(*tokens, strict=True) if tokens else ((), (), ())
        requested: dict[str, Any] = {"token_logprobs": scores, "token_texts": texts} if logprobs else {}
        segments.append(replace(segment, tokens=ids, **requested))
    return Transcript(draw(st.sampled_from(["en", "zh"])), draw(numbers), tuple(segments))


@given(transcripts())
def test_transcript_survives_the_wire(transcript: Transcript) -> None:
    assert Transcript.from_columns(transcript.to_columns()) == transcript


@given(transcripts())
def test_columns_are_the_tensors_of_the_contract(transcript: Transcript) -> None:
    columns = transcript.to_columns()
    assert set(columns) == {tensor.name for tensor in _TENSORS}
    for tensor in _TENSORS:
        assert columns[tensor.name].dtype == _NUMPY[tensor.dtype], tensor.name
        assert columns[tensor.name].shape[0] == 1
        assert tensor.shape == (-1,) or columns[tensor.name].shape == (1, *tensor.shape)


def test_columns_are_outputs_of_long_transcription_too() -> None:
    assert set(Transcript("en", 1.0, ()).to_columns()) <= {tensor.name for tensor in LONG_TRANSCRIPTION.outputs}


def test_statistic_that_no_segment_has_is_an_empty_column() -> None:
    segments = (Segment(0.0, 1.0, " a", (1,), avg_logprob=-0.5), Segment(1.0, 2.0, " b", (2,), avg_logprob=-0.25))
    columns = Transcript("en", 1.0, segments).to_columns()
    assert columns["segment_temperature"].shape == (1, 0)
    assert columns["segment_avg_logprob"].tolist() == [[-0.5, -0.25]]


def test_statistic_that_some_segments_have_is_nan_for_the_others() -> None:
    segments = (Segment(0.0, 1.0, " a", (1,)), Segment(1.0, 2.0, " b", (2,), no_speech_prob=0.5))
    transcript = Transcript("en", 1.0, segments)
    columns = transcript.to_columns()
    np.testing.assert_array_equal(columns["segment_no_speech_prob"], np.array([[np.nan, 0.5]], np.float32))
    assert [segment.no_speech_prob for segment in Transcript.from_columns(columns).segments] == [None, 0.5]


def test_statistic_with_a_wrong_number_of_values_is_rejected() -> None:
    segments = (Segment(0.0, 1.0, " a", (1,)), Segment(1.0, 2.0, " b", (2,)))
    columns = Transcript("en", 1.0, segments).to_columns()
    columns["segment_temperature"] = np.zeros((1, 1), np.float32)
    with pytest.raises(ValueError, match="1 values for 2 segments"):
        Transcript.from_columns(columns)


def test_shifting_moves_segments_and_their_words() -> None:
    segment = Segment(1.0, 2.0, " a", (1,), words=(Word(1.0, 1.5, " a", 0.9),))
    later = segment.shifted(10.0)
    assert (later.start, later.end, later.words[0].start, later.words[0].end) == (11.0, 12.0, 11.0, 11.5)
