"""The usage of each key, through OpenAI's SDK, and the stores that keep it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types.admin.organization.usage_audio_speeches_response import (
    DataResultOrganizationUsageAudioSpeechesResult,
)

from gateway.core.database import database_url
from gateway.core.errors import UsageUnavailable
from gateway.core.telemetry import WorkTelemetry
from gateway.core.usage import recorder as module
from gateway.core.usage.memory_store import MemoryUsage
from gateway.core.usage.recorder import UsageRecorder
from gateway.core.usage.sql_store import SqlUsage
from gateway.core.usage.usage import UsageCount, UsageCounts, UsageKey, UsageKind, UsageRange, UsageStore
from tests import postgres
from tests.fake_triton import FakeTriton
from tests.unit.gateway.conftest import FakeSpeech, Gateway, Serve
from tests.unit.gateway.recordings import encoded, parts
from tests.unit.gateway.transcription.conftest import FakeWhisper
from tritone.errors import Overloaded

SPEECHES = "/v1/organization/usage/audio_speeches"
TRANSCRIPTIONS = "/v1/organization/usage/audio_transcriptions"
SETTINGS: dict[str, Any] = {"api_keys": "sk-one,sk-two", "api_key_names": "billing", "admin_key": "sk-admin"}
DAY = 86_400


def by(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def speak(gateway: Gateway, text: str, key: str = "sk-one", **fields: Any) -> httpx.Response:
    body = {"model": "kokoro-82m", "input": text, "response_format": "pcm", **fields}
    return await gateway.http.post("/v1/audio/speech", json=body, headers=by(key))


async def report(gateway: Gateway, path: str = SPEECHES, **query: Any) -> httpx.Response:
    query = {"start_time": int(time.time()) - DAY, **query}
    return await gateway.http.get(path, params=query, headers=by("sk-admin"))


async def usage(
    gateway: Gateway, path: str = SPEECHES, **query: Any
) -> dict[tuple[str | None, str | None], Counter[str]]:
    """Return the sums of a report's results, by key and model."""
    response = await report(gateway, path, **query)
    assert response.status_code == 200, response.text
    sums: dict[tuple[str | None, str | None], Counter[str]] = {}
    for bucket in response.json()["data"]:
        for result in bucket["results"]:
            numbers = {name: value for name, value in result.items() if isinstance(value, int)}
            sums.setdefault((result["api_key_id"], result["model"]), Counter()).update(numbers)
    return sums


async def test_openais_sdk_reads_the_usage_of_each_key_and_model(serve: Serve) -> None:
    async with serve(**SETTINGS) as gateway:
        for text, key in (("Hello.", "sk-one"), ("Good morning.", "sk-one"), ("Hi.", "sk-two")):
            assert (await speak(gateway, text, key)).status_code == 200
        client = gateway.openai.with_options(admin_api_key="sk-admin")
        page = await client.admin.organization.usage.audio_speeches(
            start_time=int(time.time()) - DAY, group_by=["api_key_id", "model"], models=["kokoro-82m"]
        )
        assert (page.object, page.has_more, page.next_page) == ("page", False, None)
        results = [result for bucket in page.data for result in bucket.results]
        speeches = [result for result in results if isinstance(result, DataResultOrganizationUsageAudioSpeechesResult)]
        assert results == speeches
        rows = {(row.api_key_id, row.model, row.characters, row.num_model_requests) for row in speeches}
        (other,) = {row.api_key_id or "" for row in speeches} - {"billing"}
        assert rows == {("billing", "kokoro-82m", 19, 2), (other, "kokoro-82m", 3, 1)}
        assert other.startswith("key_")
        assert "sk-two" not in other


async def test_transcriptions_are_reported_in_seconds(serve: Serve, triton: FakeTriton, kokoro: FakeSpeech) -> None:
    triton.handlers = {"whisper-base": FakeWhisper(), "kokoro-82m": kokoro}
    await triton.publish()
    async with serve(**SETTINGS) as gateway:
        file = ("speech.wav", encoded(parts(2), "wav", "pcm_s16le"))
        answer = await gateway.http.post(
            "/v1/audio/transcriptions", data={"model": "whisper-base"}, files={"file": file}, headers=by("sk-one")
        )
        assert answer.status_code == 200, answer.text
        seconds = answer.json()["usage"]["seconds"]
        sums = await usage(gateway, TRANSCRIPTIONS, **{"group_by[]": ["api_key_id", "model"]})
        assert list(sums) == [("billing", "whisper-base")]
        counted = sums["billing", "whisper-base"]
        assert counted["num_model_requests"] == 1
        assert counted["seconds"] == pytest.approx(seconds, abs=1)
        assert await usage(gateway) == {}


async def test_groups_and_filters(serve: Serve) -> None:
    async with serve(**SETTINGS) as gateway:
        await speak(gateway, "Hello.", "sk-one")
        await speak(gateway, "Hi.", "sk-two")
        total = {"characters": 9, "num_model_requests": 2}
        assert await usage(gateway) == {(None, None): total}
        assert await usage(gateway, group_by=["model", "project_id"]) == {(None, "kokoro-82m"): total}
        assert await usage(gateway, api_key_ids="billing") == {(None, None): {"characters": 6, "num_model_requests": 1}}
        assert await usage(gateway, models="another") == {}


async def test_rejected_request_does_not_count_and_a_long_text_is_one(serve: Serve, kokoro: FakeSpeech) -> None:
    async with serve(**SETTINGS, max_input_chars=20) as gateway:
        text = "One two three. Four five six. Seven eight nine."
        assert (await speak(gateway, text)).status_code == 200
        counted = (await usage(gateway))[None, None]
        assert counted["num_model_requests"] == 1
        assert len(text) - 3 <= counted["characters"] <= len(text), "without the spaces between its parts"
        kokoro.chunks, kokoro.failure = [], Overloaded("full")
        assert (await speak(gateway, "Hello.")).status_code == 503
        assert (await usage(gateway))[None, None] == counted


async def test_items_of_a_batch_are_requests(serve: Serve) -> None:
    async with serve(**SETTINGS) as gateway:
        body = {"model": "kokoro-82m", "items": [{"input": "One."}, {"input": "Two."}]}
        await gateway.http.post("/v1/audio/speech/batch", json=body, headers=by("sk-one"))
        assert await usage(gateway) == {(None, None): {"characters": 8, "num_model_requests": 2}}


async def test_pages_follow_each_other_in_whole_buckets(serve: Serve) -> None:
    async with serve(**SETTINGS) as gateway:
        query: dict[str, Any] = {"start_time": 90, "end_time": 300, "bucket_width": "1m", "limit": 2}
        first = (await report(gateway, **query)).json()
        assert [(each["start_time"], each["end_time"]) for each in first["data"]] == [(60, 120), (120, 180)]
        assert (first["has_more"], first["next_page"]) == (True, "page_180")
        second = (await report(gateway, **query, page=first["next_page"])).json()
        assert [each["start_time"] for each in second["data"]] == [180, 240]
        assert (second["has_more"], second["next_page"]) == (False, None)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"start_time": "yesterday"}, "start_time"),
        ({"end_time": 1}, "end_time"),
        ({"bucket_width": "1w"}, "bucket_width"),
        ({"limit": 32}, "limit"),
        ({"group_by": "voice"}, "group_by"),
        ({"project_ids": "proj_1"}, "project_ids"),
        ({"page": "7"}, "page"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_bad_query_is_rejected_with_its_name(
    gateway: Gateway, serve: Serve, query: dict[str, Any], param: str
) -> None:
    async with serve(**SETTINGS) as own:
        answer = await report(own, **query)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param
        assert param in answer.json()["error"]["message"]


async def test_only_the_administrators_key_reads_the_usage_and_it_opens_nothing_else(serve: Serve) -> None:
    async with serve(**SETTINGS) as gateway:
        for headers in ({}, by("sk-one"), by("sk-admin2")):
            answer = await gateway.http.get(SPEECHES, params={"start_time": 0}, headers=headers)
            assert answer.status_code == 401
        assert (await speak(gateway, "Hello.", "sk-admin")).status_code == 401


async def test_usage_is_closed_without_an_administrators_key(gateway: Gateway) -> None:
    answer = await gateway.http.get(SPEECHES, params={"start_time": 0}, headers=by("sk-any"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_set_up")
    assert "ADMIN_KEY" in answer.json()["error"]["message"]


async def test_clients_without_keys_are_everyone(serve: Serve) -> None:
    async with serve(admin_key="sk-admin") as gateway:
        await speak(gateway, "Hello.")
        assert list(await usage(gateway, group_by="api_key_id")) == [("everyone", None)]


async def test_gateways_with_one_database_report_the_usage_of_all_after_a_restart(serve: Serve, tmp_path: Path) -> None:
    settings = {**SETTINGS, "jobs": True, "jobs_dir": str(tmp_path)}
    async with serve(**settings) as one, serve(**settings) as two:
        await speak(one, "Hello.")
        await speak(two, "Hi.")
    async with serve(**settings) as gateway:
        assert await usage(gateway) == {(None, None): {"characters": 9, "num_model_requests": 2}}


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    if postgres.programs() is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(postgres.HOW_TO_INSTALL)
    with postgres.Postgres() as server:
        yield server.url("postgres")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> UsageStore:
    match request.param:
        case "memory":
            return MemoryUsage()
        case "sqlite":
            return SqlUsage(f"sqlite:///{tmp_path / 'new' / 'jobs.sqlite'}")
    return SqlUsage(request.getfixturevalue("postgres_url"))


def key(start: int, owner: str = "a", model: str = "m", kind: UsageKind = "speech") -> UsageKey:
    return UsageKey(start, kind, owner, model)


async def test_store_adds_up_minutes_in_buckets(store: UsageStore) -> None:
    two = UsageCount(2, 7.5)
    try:
        for counts in (
            {key(0): UsageCount(1, 1.0), key(3540): UsageCount(1, 2.0), key(3600): two, key(7200): two},
            {key(3600): UsageCount(1, 0.5), key(3660, "b"): two, key(3660, kind="transcription"): two},
        ):
            await store.add(counts)
        wanted = UsageRange("speech", 60, 7200, 3600)
        expected = {key(0): UsageCount(1, 2.0), key(3600): UsageCount(3, 8.0), key(3600, "b"): two}
        assert await store.totals(wanted) == expected
        assert await store.totals(UsageRange("speech", 0, 7200, 3600, ["other"])) == {}
        await store.forget(3601)
        assert await store.totals(wanted) == {key(3600, "b"): two}
    finally:
        await store.forget(10**9)
        await store.close()


async def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as opened:
        stores = [SqlUsage(f"sqlite:///{tmp_path / 'jobs.sqlite'}") for _ in range(4)]
        for each in stores:
            opened.push_async_callback(each.close)
        await asyncio.gather(*(each.add({key(60): UsageCount(1, 1.0)}) for each in stores for _ in range(5)))
        assert await stores[0].totals(UsageRange("speech", 0, 120, 60)) == {key(60): UsageCount(20, 20.0)}


async def test_memory_drops_the_oldest_minutes() -> None:
    store = MemoryUsage(most=2)
    for minute in (60, 120, 180):
        await store.add({key(minute): UsageCount(1, 1.0)})
    assert set(await store.totals(UsageRange("speech", 0, 1000, 60))) == {key(120), key(180)}


class AwayStore(MemoryUsage):
    """A store that is out of reach until it is `back`."""

    back = False

    async def add(self, counts: UsageCounts) -> None:
        if not self.back:
            raise UsageUnavailable("away")
        await super().add(counts)


async def test_counts_wait_while_the_store_is_away() -> None:
    store = AwayStore()
    recorder = UsageRecorder(store, clock=lambda: 130.0)
    telemetry = WorkTelemetry("r", model="m", owner="a")
    recorder.add("speech", telemetry, 5)
    with pytest.raises(UsageUnavailable):
        await recorder.write()
    recorder.add("speech", telemetry, 2)
    store.back = True
    assert await recorder.totals(UsageRange("speech", 0, 1000, 60)) == {key(120): UsageCount(2, 7.0)}


class FaultyStore(MemoryUsage):
    """A store whose first write fails in a way that is not foreseen."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.written = asyncio.Event()

    async def add(self, counts: UsageCounts) -> None:
        self.writes += 1
        if self.writes == 1:
            raise OverflowError("too large for the database")
        await super().add(counts)
        self.written.set()


async def test_recorder_goes_on_after_an_unforeseen_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WRITE_SECONDS", 0.0)
    store = FaultyStore()
    recorder = UsageRecorder(store)
    recorder.add("speech", WorkTelemetry("r", model="m", owner="a"), 5)
    running = asyncio.create_task(recorder.run(DAY))
    async with asyncio.timeout(120):
        await asyncio.wait(
            {running, writing := asyncio.create_task(store.written.wait())}, return_when="FIRST_COMPLETED"
        )
    assert store.written.is_set()
    for task in (running, writing):
        task.cancel()
    await asyncio.gather(running, writing, return_exceptions=True)


async def test_a_database_that_does_not_answer_is_away(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = database_url(f"postgresql://user:secret@127.0.0.1:{silent.getsockname()[1]}/jobs", tmp_path)
        assert "connect_timeout=10" in url
        store = SqlUsage(url.replace("connect_timeout=10", "connect_timeout=2"))
        with pytest.raises(UsageUnavailable):
            await store.totals(UsageRange("speech", 0, 1000, 60))
        await store.close()


def test_the_deadlines_of_an_operators_database_are_kept(tmp_path: Path) -> None:
    own = "postgresql://user:secret@host/jobs?connect_timeout=3&sslmode=require"
    url = database_url(own, tmp_path)
    assert url.startswith("postgresql://user:secret@host/jobs?")
    assert {"connect_timeout=3", "sslmode=require", "tcp_user_timeout=30000"} == set(url.partition("?")[2].split("&"))
