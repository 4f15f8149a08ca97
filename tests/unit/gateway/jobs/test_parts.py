"""The pieces that jobs are made of: parts of texts, transcripts as JSON, files, patience, signatures."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import openai
import pytest
import sqlalchemy as sa
from dbos import DBOS, DBOSClient
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.diarization import SpeakerSegment
from gateway.core.errors import (
    InternalError,
    JobsUnavailable,
    LanguageModelBusy,
    LanguageModelRefused,
    ModelUnavailable,
    StorageFull,
)
from gateway.core.jobs import fleet, transcription, workflows
from gateway.core.jobs.callbacks import signed_headers
from gateway.core.jobs.database import JOB, QUEUE
from gateway.core.jobs.dbos_store import DbosStore
from gateway.core.jobs.files import JobFiles, new_id
from gateway.core.jobs.fleet import FleetMember
from gateway.core.jobs.janitor import remove_expired
from gateway.core.jobs.job import Job, JobSpec
from gateway.core.jobs.ledger import JobFailed, Work
from gateway.core.jobs.open import JobBackend
from gateway.core.jobs.patience import patiently
from gateway.core.jobs.transcripts import result_from_json, result_to_json
from gateway.core.jobs.use_cases import JobOrder, create_transcription
from gateway.core.jobs.worker import LEAVE
from gateway.core.transcribe import TranscriptionRequest
from gateway.core.transcription_result import TranscriptionResult
from supervisor.processes import IDLE_GRACE
from tests.unit.gateway.jobs.conftest import SECRET
from tritone.contract import TranscriptionOptions
from tritone.errors import InvalidInput
from tritone.text_parts import split_text
from tritone.transcribe_windows import WindowTranscript
from tritone.transcript import Segment, Word

PIECES = st.sampled_from(["word", " ", "\n\n", ". ", "。", "，", "’", "ü", "🙂", ", "])


@given(st.lists(PIECES, max_size=80).map("".join), st.integers(5, 40))
def test_the_parts_of_a_text_hold_all_of_it_and_fit(text: str, most: int) -> None:
    parts = list(split_text(text, most))
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(part.strip() == part and 0 < len(part) <= most for part in parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two.\n\nThree. Four.", ["One. Two.", "Three. Four."]),
        ("One two. Three four. Five", ["One two.", "Three four.", "Five"]),
        ("你好，世界。今天天气很好，我们走吧。", ["你好，世界。今天天气很好，", "我们走吧。"]),
        ("one two three, four five six", ["one two three,", "four five six"]),
        ("abcdefghijklmnopqrstuvwxyz", ["abcdefghijklmno", "pqrstuvwxyz"]),
    ],
)
def test_a_text_is_split_at_the_best_place(text: str, parts: list[str]) -> None:
    assert list(split_text(text, 15)) == parts


def test_a_result_survives_json_with_words_tokens_and_speakers() -> None:
    word = Word(0.1, 0.5, " Grüße", 0.9)
    plain = Segment(0.0, 1.0, " Grüße", (1, 2), 0.0, -0.2, 1.5, None, (word,), (-0.1, -0.2), (b" Gr\xc3", b"\xbc"))
    spoken = SpeakerSegment(1.0, 2.0, " ja", (3,), speaker="A")
    windows = [WindowTranscript(0.0, 2.0, "de", (plain, spoken), 0.7)]
    result = TranscriptionResult("translate", windows, 2.5)
    assert result_from_json(json.loads(json.dumps(result_to_json(result)))) == result


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    files, job_id = JobFiles(tmp_path), new_id()

    def pieces() -> Iterator[bytes]:
        yield b"one"
        assert not any(path.name == "result" for path in tmp_path.rglob("*"))
        yield b"two"

    files.add(job_id)
    files.write(job_id, "result", pieces())
    assert files.path(job_id, "result").read_bytes() == b"onetwo"


def test_a_full_disk_leaves_no_part_of_an_upload(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFull):
        JobFiles(tmp_path).add_upload(new_id(), pieces())
    assert list(tmp_path.iterdir()) == []


async def test_the_slower_of_two_equal_requests_leaves_no_file(tmp_path: Path) -> None:
    files, store = JobFiles(tmp_path), mock.AsyncMock()

    async def created_before(job_id: str, owner: str, spec: JobSpec) -> Job:
        upload, references = (files.add_upload(job_id, [content]) for content in (b"recording", b"references"))
        return Job(job_id, owner, replace(spec, upload=upload, references=references), "queued", 1.0)

    store.get.return_value = None
    store.create.side_effect = created_before
    services = mock.Mock(jobs=JobBackend(mock.AsyncMock(return_value=store), files))
    services.triton.served.resolve.side_effect = ModelUnavailable("away")
    request, order = TranscriptionRequest(None, TranscriptionOptions()), JobOrder("owner", idempotency_key="key")
    request = replace(request, known_speaker_references=("data:",))
    created = await create_transcription(services, request, io.BytesIO(b"recording"), order)
    files_left = {path.name for path in files.folder(created.job.id).iterdir()}
    assert files_left == {created.job.spec.upload, created.job.spec.references}


async def test_recordings_of_known_speakers_are_a_file_of_the_job_and_not_in_its_row(tmp_path: Path) -> None:
    files, store = JobFiles(tmp_path), mock.AsyncMock()
    store.create.side_effect = lambda job_id, owner, spec: Job(job_id, owner, spec, "queued", 1.0)
    services = mock.Mock(jobs=JobBackend(mock.AsyncMock(return_value=store), files))
    services.triton.served.resolve.side_effect = ModelUnavailable("away")
    request = TranscriptionRequest(
        "whisper-base",
        TranscriptionOptions(word_timestamps=True),
        diarize=True,
        known_speaker_names=("Ann",),
        known_speaker_references=("data:audio/wav;base64,UklGRg==",),
    )
    job = (await create_transcription(services, request, io.BytesIO(b"recording"), JobOrder("owner"))).job
    row = json.loads(json.dumps(asdict(job.spec)))
    assert "UklGRg" not in json.dumps(row)
    context: Any = SimpleNamespace(files=files, job_id=job.id, spec=JobSpec(**row))
    assert transcription.read_request(context) == request
    del row["references"]
    context.spec = JobSpec(**{**row, "request": transcription.request_to_json(request)})  # of an earlier version
    assert transcription.read_request(context) == request
    store.create.side_effect = StorageFull("database or disk is full")
    with pytest.raises(StorageFull):
        await create_transcription(services, request, io.BytesIO(b"recording"), JobOrder("owner"))
    assert [path.name for path in tmp_path.glob("*")] == [job.id]  # noqa: ASYNC240


def test_a_cleaning_without_old_folders_does_not_list_every_job(tmp_path: Path) -> None:
    client = mock.create_autospec(DBOSClient, instance=True)
    client.list_workflows.return_value = []
    remove_expired(client, JobFiles(tmp_path), 60)
    assert all(call.kwargs.get("limit") for call in client.list_workflows.call_args_list)


def test_a_cleaning_removes_all_that_has_expired(tmp_path: Path) -> None:
    files, stored = JobFiles(tmp_path), [new_id() for _ in range(250)]
    for job_id in stored:
        files.add(job_id)

    def rows(*, status: Sequence[str] = (), limit: int = 1000, **_: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(workflow_id=id_, name=JOB) for id_ in stored[:limit] if "SUCCESS" in status]

    client = mock.create_autospec(DBOSClient, instance=True)
    client.list_workflows.side_effect = rows
    client.delete_workflows.side_effect = lambda ids: stored.__delitem__(slice(len(ids)))
    remove_expired(client, files, 60)
    assert not stored
    assert not any(tmp_path.iterdir())


def test_files_of_a_request_that_died_before_its_job_was_enqueued_expire(tmp_path: Path) -> None:
    files, known, unknown = JobFiles(tmp_path), new_id(), new_id()
    for job_id in (known, unknown):
        files.add(job_id)
        os.utime(files.folder(job_id), (0, 0))
    client = mock.create_autospec(DBOSClient, instance=True)
    client.list_workflows.side_effect = lambda workflow_ids=(), **_: [
        SimpleNamespace(workflow_id=id_) for id_ in workflow_ids if id_ == known
    ]
    remove_expired(client, files, 60)
    assert [path.name for path in tmp_path.iterdir()] == [known]


def test_a_worker_cannot_write_into_a_folder_that_is_being_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, job_id = JobFiles(tmp_path), new_id()
    files.add_upload(job_id, [b"one"])
    remove = shutil.rmtree

    def removed_while_written(path: Path, *, ignore_errors: bool) -> None:
        with pytest.raises(FileNotFoundError):
            files.write(job_id, "result", [b"two"])
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", removed_while_written)
    files.remove(job_id)
    files.remove(job_id)
    assert list(tmp_path.iterdir()) == []


async def test_the_header_of_a_recording_is_read_in_a_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files, job_id = JobFiles(tmp_path), new_id()
    upload = files.add_upload(job_id, [b"recording"])
    threads: list[threading.Thread] = []

    def declared(file: object) -> float:
        threads.append(threading.current_thread())
        raise _EndOfTestError

    class Steps:
        async def step(self, name: str, work: Work) -> Any:
            return await work()

    monkeypatch.setattr(transcription, "declared_seconds", declared)
    context = mock.Mock(files=files, job_id=job_id, upload=upload, ledger=Steps())
    with pytest.raises(_EndOfTestError):
        await transcription.run_transcription(context)
    assert threading.main_thread() not in threads


class _EndOfTestError(Exception):
    pass


async def test_a_callback_does_not_wait_for_ever_for_a_job_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    async def pending(_job_id: str) -> mock.Mock:
        nonlocal looks
        looks += 1
        return mock.Mock(status="PENDING")

    monkeypatch.setattr(DBOS, "get_workflow_status_async", pending)
    monkeypatch.setattr(workflows, "_FIRST_LOOK", 0.001)
    monkeypatch.setattr(workflows, "_LONGEST_PAUSE", 0.05)
    with pytest.raises(TimeoutError):
        await workflows._final_status("job", 0.5)
    assert 1 < looks < 50  # the pauses grow


def test_a_worker_tells_the_database_that_it_ends_before_its_supervisor_kills_it() -> None:
    assert LEAVE < IDLE_GRACE


def test_a_jump_of_the_databases_clock_makes_no_worker_dead(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    members = [FleetMember(url, name, set()) for name in ("one", "other")]
    with members[0]._engine.begin() as connection:
        connection.execute(sa.text(fleet._CREATE))
    for member in members:
        member._beat()
    one = members[0]
    one._client = mock.Mock()
    one._client.list_workflows.return_value = [SimpleNamespace(workflow_id="job", name=JOB, executor_id="other")]
    one._take_over()
    for hours in (1, -1):
        one._now = sa.text(f"{fleet._NOW['sqlite']} + {hours * 3600}")
        one._take_over()
    one._client.resume_workflows.assert_not_called()
    one._patient_until = 0.0  # its time is over, and the other one has not shown itself by the new clock
    one._take_over()
    one._client.resume_workflows.assert_called_once_with(["job"], queue_name=QUEUE)


def test_a_job_whose_end_could_not_be_recorded_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "DEAD", 0.0)
    member = FleetMember(f"sqlite:///{tmp_path / 'jobs.sqlite'}", "one", {"runs"})
    with member._engine.begin() as connection:
        connection.execute(sa.text(fleet._CREATE))
    member._client = mock.Mock()
    member._client.list_workflows.return_value = [
        SimpleNamespace(workflow_id=id_, name=JOB, executor_id="one") for id_ in ("runs", "ended")
    ]
    member._take_over()
    member._client.resume_workflows.assert_not_called()  # it may just begin
    member._take_over()
    member._client.resume_workflows.assert_called_once_with(["ended"], queue_name=QUEUE)
    member._take_over()
    member._client.resume_workflows.assert_called_once()


async def test_a_job_is_not_cancelled_before_its_callback_is_enqueued() -> None:
    store, client = DbosStore("sqlite://"), mock.AsyncMock()
    store._client = client
    client.enqueue_async.side_effect = sa.exc.OperationalError("", None, OSError("the server is away"))
    job = Job(new_id(), "owner", JobSpec("speech", "", {}, "", callback_url="https://example.com"), "running", 1.0)
    with pytest.raises(JobsUnavailable):
        await store.cancel(job)
    client.cancel_workflow_async.assert_not_called()


def test_later_ids_are_greater() -> None:
    with mock.patch("time.time_ns", side_effect=[1_000_000_000, 2_000_000_000]):
        assert new_id() < new_id()


async def _no_sleep(_: float) -> None:
    pass


async def test_work_is_repeated_until_its_model_and_the_disk_are_there() -> None:
    results: Iterator[Exception | str] = iter(
        [ModelUnavailable("loading"), StorageFull(), InternalError("odd"), "done"]
    )
    waits = []

    async def work() -> str:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    with mock.patch("asyncio.sleep", _no_sleep):
        assert await patiently(work, 60, lambda: waits.append(1)) == "done"
    assert len(waits) == 3


async def test_a_long_retry_after_does_not_prolong_the_patience() -> None:
    errors = iter([LanguageModelBusy("busy", 86_400), LanguageModelRefused("no")])
    pauses: list[float] = []

    async def work() -> None:
        raise next(errors)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with mock.patch("asyncio.sleep", sleep), pytest.raises(JobFailed):
        await patiently(work, 60, lambda: None)
    (pause,) = pauses
    assert pause <= 60


@pytest.mark.parametrize(
    ("error", "seconds", "tries"),
    [
        (InvalidInput("audio", "it is empty"), 60, 1),
        (ModelUnavailable("loading"), 0, 1),
        (InternalError("odd"), 60, 3),
    ],
)
async def test_work_is_given_up(error: Exception, seconds: float, tries: int) -> None:
    count = 0

    async def work() -> None:
        nonlocal count
        count += 1
        raise error

    with mock.patch("asyncio.sleep", _no_sleep), pytest.raises(JobFailed):
        await patiently(work, seconds, lambda: None)
    assert count == tries


def test_openais_client_accepts_the_signature_of_a_callback() -> None:
    import time

    body = b'{"id": "evt_1"}'
    headers = signed_headers("evt_1", body, SECRET, int(time.time()))
    client = openai.OpenAI(api_key="unused", webhook_secret=SECRET)
    client.webhooks.verify_signature(body.decode(), headers)
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.verify_signature(body.decode() + " ", headers)
