from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.companions.document_watch import EMPTY, DocumentFile, DocumentWatch
from tests.unit.adapters.clock import ManualClock
from tests.unit.adapters.stand_in import pb_utils
from tritone.served import ServedDocument, ServedModel

PATIENCE = 300
DOCUMENT = ServedDocument(
    "serving", (ServedModel("whisper-base", "transcription", "transcribe", "openai", "ready"),), version=3
)


def write(path: Path, document: ServedDocument) -> None:
    """Replace the file as the supervisor does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(document.to_json())
    os.replace(fresh, path)


class Response:
    """The response to one request."""

    def __init__(self) -> None:
        self.documents: list[ServedDocument] = []
        self._sent = threading.Event()

    def __call__(self, document: ServedDocument) -> None:
        self.documents.append(document)
        self._sent.set()

    def wait(self) -> ServedDocument:
        assert self._sent.wait(PATIENCE)
        [document] = self.documents
        return document


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "served.json", DOCUMENT)
    return tmp_path / "served.json"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def watch(path: Path, clock: ManualClock) -> Iterator[DocumentWatch]:
    watch = DocumentWatch(path, poll_seconds=0.001, clock=clock)
    yield watch
    watch.close()


@pytest.mark.parametrize(("version", "wait_seconds"), [(-1, 20), (2, 20), (3, 0)])
def test_other_version_or_no_wait_is_answered_at_once(watch: DocumentWatch, version: int, wait_seconds: float) -> None:
    response = Response()
    watch.add(version, wait_seconds, response)
    assert response.documents == [DOCUMENT]


def test_known_version_is_answered_when_the_document_changes(watch: DocumentWatch, path: Path) -> None:
    responses = [Response(), Response()]
    for response in responses:
        watch.add(3, 20, response)
    assert [response.documents for response in responses] == [[], []]
    changed = replace(DOCUMENT, version=4)
    write(path, changed)
    assert [response.wait() for response in responses] == [changed, changed]


def test_known_version_is_answered_after_its_wait(watch: DocumentWatch, clock: ManualClock) -> None:
    longer, shorter = Response(), Response()
    watch.add(3, 20, longer)
    watch.add(3, 5, shorter)
    clock.now += 6
    assert shorter.wait() == DOCUMENT
    assert longer.documents == []


def test_cancelled_request_is_answered_before_its_wait(watch: DocumentWatch) -> None:
    response, cancelled = Response(), threading.Event()
    watch.add(3, 20, response, cancelled.is_set)
    assert response.documents == []
    cancelled.set()
    assert response.wait() == DOCUMENT


def test_a_request_that_cannot_be_answered_does_not_keep_others_waiting(watch: DocumentWatch, path: Path) -> None:
    def broken(_document: ServedDocument) -> None:
        raise RuntimeError("the client has gone")

    response = Response()
    watch.add(3, 20, broken)
    watch.add(3, 20, response)
    changed = replace(DOCUMENT, version=4)
    write(path, changed)
    assert response.wait() == changed
    later = Response()
    watch.add(4, 20, later)
    write(path, replace(DOCUMENT, version=5))
    assert later.wait().version == 5


def test_stopping_server_answers_every_request_at_once(watch: DocumentWatch, path: Path) -> None:
    waiting, late = Response(), Response()
    watch.add(3, 20, waiting)
    stopping = replace(DOCUMENT, state="stopping")
    write(path, stopping)
    assert waiting.wait() == stopping
    watch.add(3, 20, late)
    assert late.documents == [stopping]


def test_closing_watch_answers_waiting_requests(path: Path) -> None:
    watch, response = DocumentWatch(path), Response()
    watch.add(3, 20, response)
    watch.close()
    assert response.documents == [DOCUMENT]


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: folder / "not-there.json"])
def test_document_without_a_file_is_empty(tmp_path: Path, make: Callable[[Path], Path | None]) -> None:
    assert DocumentFile(make(tmp_path)).read() == EMPTY
    assert EMPTY.state == "starting"


def test_unreadable_file_is_logged_and_the_document_stays(path: Path) -> None:
    file = DocumentFile(path)
    assert file.read() == DOCUMENT
    path.write_text("{}")
    assert file.read() == DOCUMENT
    assert str(path) in pb_utils.Logger.lines[-1][1]
