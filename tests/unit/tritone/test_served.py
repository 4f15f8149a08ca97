"""The document of a server's models."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritone.contract import SpeechDescription, TranscriptionDescription, Voice
from tritone.served import ServedDocument, ServedModel

names = st.text(min_size=1, max_size=8)
words = st.lists(names, max_size=3).map(tuple)
speech = st.builds(
    SpeechDescription,
    voices=st.lists(st.builds(Voice, names, names, names), max_size=2).map(tuple),
    languages=words,
    default_voice=names,
    speed_range=st.tuples(st.floats(0.25, 1), st.floats(1, 4)),
    options=words,
    mixes_voices=st.booleans(),
)
transcription = st.builds(TranscriptionDescription, languages=words, tasks=words, options=words)


shared = {
    "id": names,
    "owner": names,
    "state": st.sampled_from(["loading", "ready", "failed", "unloaded"]),
    "aliases": st.dictionaries(names, st.integers(0, 9), max_size=2),
    "voice_aliases": st.dictionaries(names, names, max_size=2),
    "created": st.integers(0, 2**40),
    "loads": st.integers(0, 99),
}
models = st.one_of(
    st.builds(ServedModel, kind=st.just("speech"), mode=st.just("voice"), description=st.none() | speech, **shared),
    st.builds(
        ServedModel,
        kind=st.just("transcription"),
        mode=st.just("transcribe"),
        description=st.none() | transcription,
        **shared,
    ),
)


@given(
    st.builds(
        ServedDocument,
        state=st.sampled_from(["starting", "serving", "stopping"]),
        models=st.lists(models, max_size=3).map(tuple),
        version=st.integers(0),
    )
)
def test_document_survives_json(document: ServedDocument) -> None:
    assert ServedDocument.from_json(document.to_json()) == document
    assert ServedDocument.from_json(document.to_json().encode()) == document


def test_keys_of_a_newer_server_are_ignored() -> None:
    document = ServedDocument("serving", (ServedModel("a", "speech", "voice", "someone", "ready"),), 3)
    data = json.loads(document.to_json())
    data["region"] = "north"
    data["models"][0]["colour"] = "blue"
    assert ServedDocument.from_json(json.dumps(data)) == document


def test_keys_with_a_default_may_be_missing() -> None:
    model = {"id": "a", "kind": "speech", "mode": "voice", "owner": "b", "state": "loading"}
    text = json.dumps({"state": "serving", "version": 1, "models": [model]})
    assert ServedDocument.from_json(text).models == (ServedModel("a", "speech", "voice", "b", "loading"),)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"state": "serving", "version": 1, "models": [{}]}'])
def test_text_that_is_no_document_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, LookupError, TypeError)):
        ServedDocument.from_json(text)
