"""The store of voices and consents, in a local folder and on a real S3 server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.errors import VoicesUnavailable
from gateway.core.voices import records
from gateway.core.voices.objects import Objects
from gateway.core.voices.store import VoiceStore
from gateway.core.voices.voice import Consent, Voice, new_consent_id, new_voice_id
from tests.seaweedfs import SeaweedFs

AUDIO = b"the recording"
BUCKET = "voices"


def voice(name: str = "Anna", created: float = 1.0) -> Voice:
    return Voice(new_voice_id(), name, created, "audio_sample", 2.0, "Hello.", "en", "d1" * 32)


def consent(name: str = "Anna's") -> Consent:
    return Consent(new_consent_id(), name, 1.0, "en-US")


class FaultyObjects(Objects):
    """Objects whose writes to the path with `fails_at` fail."""

    fails_at = ""

    def _check(self, path: str) -> None:
        if self.fails_at and self.fails_at in path:
            raise VoicesUnavailable("the network is down")

    async def put(self, path: str, content: bytes) -> None:
        self._check(path)
        await super().put(path, content)

    async def create(self, path: str, content: bytes) -> bool:
        self._check(path)
        return await super().create(path, content)

    async def delete(self, path: str) -> None:
        self._check(path)
        await super().delete(path)


@pytest.fixture(scope="module")
def s3() -> Iterator[SeaweedFs]:
    with SeaweedFs() as server, pytest.MonkeyPatch.context() as patch:
        server.add_bucket(BUCKET)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A folder, and the address of a bucket if the objects are to be there."""
    if request.param == "folder":
        return tmp_path / "voices", ""
    request.getfixturevalue("s3")
    return tmp_path, f"s3://{BUCKET}/{tmp_path.name}"


@pytest.fixture
def objects(place: tuple[Path, str]) -> FaultyObjects:
    return FaultyObjects(*place)


@pytest.fixture
def store(objects: Objects) -> VoiceStore:
    return VoiceStore(objects)


@pytest.fixture
def abandoned(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take every unfinished change for abandoned from then on."""
    return lambda: monkeypatch.setattr(records, "_ABANDONED", -1e9)


@pytest.fixture(autouse=True)
async def _nothing_stays(objects: FaultyObjects) -> AsyncIterator[None]:
    """After a test that removes what it wrote, nothing is left of it."""
    yield
    objects.fails_at = ""
    store = VoiceStore(objects)
    for owner in ("one", "two"):
        for each in await store.voices(owner):
            assert await store.remove_voice(owner, each)
        for other in await store.consents(owner):
            assert await store.remove_consent(owner, other.id)
    assert await objects.list("") == []


async def test_a_voice_is_found_by_id_and_by_its_name_in_any_case(store: VoiceStore, place: tuple[Path, str]) -> None:
    anna = voice("Anna Müller")
    assert await store.add_voice("one", anna, AUDIO)
    again = VoiceStore(Objects(*place))  # as after a restart
    assert await again.voice("one", anna.id) == anna
    assert await again.voice_named("one", " anna MÜLLER") == anna
    assert await again.audio("one", anna) == AUDIO


async def test_an_owner_sees_no_voice_or_consent_of_another(store: VoiceStore) -> None:
    anna, agreed = voice(), consent()
    assert await store.add_voice("one", anna, AUDIO)
    await store.add_consent("one", agreed, AUDIO)
    assert await store.voice("two", anna.id) is None
    assert await store.voice_named("two", "Anna") is None
    assert await store.audio("two", anna) is None
    assert not await store.remove_voice("two", anna)
    assert await store.consent("two", agreed.id) is None
    assert not await store.remove_consent("two", agreed.id)
    assert (await store.voices("two"), await store.consents("two")) == ([], [])
    assert await store.add_voice("two", voice(), AUDIO)  # the same name
    assert await store.voices("one") == [anna]


async def test_of_gateways_that_register_a_name_at_once_one_succeeds(place: tuple[Path, str]) -> None:
    gateways = [VoiceStore(Objects(*place)) for _ in range(3)]
    added = await asyncio.gather(*(gateway.add_voice("one", voice(), AUDIO) for gateway in gateways))
    assert sorted(added) == [False, False, True]
    assert len(await gateways[0].voices("one")) == 1


async def test_of_requests_that_remove_a_voice_at_once_one_succeeds(store: VoiceStore) -> None:
    anna = voice()
    await store.add_voice("one", anna, AUDIO)
    assert sorted(await asyncio.gather(*(store.remove_voice("one", anna) for _ in range(3)))) == [False, False, True]
    assert await store.voice("one", anna.id) is None


async def test_a_removed_voice_frees_its_name(store: VoiceStore) -> None:
    old, new = voice(), voice()
    await store.add_voice("one", old, AUDIO)
    await store.remove_voice("one", old)
    assert await store.add_voice("one", new, b"another")
    assert await store.voice("one", old.id) is None
    assert await store.voice_named("one", "Anna") == new


async def test_voices_are_listed_in_the_order_of_their_creation(store: VoiceStore) -> None:
    added = [voice(f"voice {number}", created=number) for number in (3.0, 1.0, 2.0)]
    for each in added:
        assert await store.add_voice("one", each, AUDIO)
    assert [each.created for each in await store.voices("one")] == [1.0, 2.0, 3.0]
    assert await store.count_voices("one") == 3


@pytest.mark.parametrize("fails_at", ["audio.flac", "voice.json", "/names/"])
async def test_a_registration_that_fails_leaves_nothing_visible(
    store: VoiceStore, objects: FaultyObjects, abandoned: Callable[[], None], fails_at: str
) -> None:
    anna = voice()
    objects.fails_at = fails_at
    with pytest.raises(VoicesUnavailable):
        await store.add_voice("one", anna, AUDIO)
    objects.fails_at = ""
    assert await store.voice("one", anna.id) is None
    assert await store.voices("one") == []
    abandoned()
    await store.clean()
    assert await objects.list("") == []


async def test_what_a_gateway_that_died_had_written_is_cleaned(
    store: VoiceStore, objects: FaultyObjects, abandoned: Callable[[], None]
) -> None:
    anna, kept = voice(), voice("Ben")
    await store.add_voice("one", kept, AUDIO)
    objects.fails_at = "/names/"
    for change in (store.add_voice("one", anna, AUDIO), store.remove_voice("one", kept)):
        with pytest.raises(VoicesUnavailable):
            await change
    objects.fails_at = ""
    await store.clean()
    assert await store.voice("one", kept.id) == kept  # another gateway may be at work on it
    abandoned()
    await store.clean()
    assert await objects.list("") == []


async def test_cleaning_keeps_a_voice_whose_note_was_left(
    store: VoiceStore, objects: FaultyObjects, abandoned: Callable[[], None]
) -> None:
    anna = voice()
    objects.fails_at = "pending/"
    objects.put = super(FaultyObjects, objects).put  # type: ignore[method-assign]
    objects.create = super(FaultyObjects, objects).create  # type: ignore[method-assign]
    with pytest.raises(VoicesUnavailable):
        await store.add_voice("one", anna, AUDIO)
    objects.fails_at = ""
    abandoned()
    await store.clean()
    assert await store.voice("one", anna.id) == anna


async def test_cleaning_passes_over_a_damaged_note(
    store: VoiceStore, objects: FaultyObjects, abandoned: Callable[[], None]
) -> None:
    await objects.put("pending/a", b"")
    objects.fails_at = "/names/"
    with pytest.raises(VoicesUnavailable):
        await store.add_voice("one", voice(), AUDIO)
    objects.fails_at = ""
    abandoned()
    await store.clean()
    assert [each.path for each in await objects.list("")] == ["pending/a"]
    await objects.delete("pending/a")


async def test_a_registration_that_is_cancelled_is_undone(
    store: VoiceStore, objects: FaultyObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = voice()
    writing, go_on = asyncio.Event(), asyncio.Event()
    put = objects.put

    async def slow(path: str, content: bytes) -> None:
        if path.endswith("voice.json"):
            writing.set()
            await go_on.wait()
        await put(path, content)

    monkeypatch.setattr(objects, "put", slow)
    request = asyncio.create_task(store.add_voice("one", anna, AUDIO))
    await writing.wait()
    request.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert await objects.list("") == []


async def test_a_consent_is_renamed_and_removed(store: VoiceStore) -> None:
    agreed = consent()
    await store.add_consent("one", agreed, AUDIO)
    assert await store.consent_recording("one", agreed.id) == AUDIO
    assert await store.update_consent("one", replace(agreed, name="Another name"))
    assert [each.name for each in await store.consents("one")] == ["Another name"]
    assert await store.remove_consent("one", agreed.id)
    assert not await store.update_consent("one", agreed)
    assert await store.consent("one", agreed.id) is None


async def test_the_folder_is_the_gateways_alone_and_is_made_by_the_first_registration(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    store = VoiceStore(Objects(folder))
    assert await store.voice_named("one", "Anna") is None
    assert not folder.exists()
    anna = voice()
    await store.add_voice("one", anna, AUDIO)
    assert folder.stat().st_mode & 0o077 == 0
    assert not any("anna" in name.lower() for _, _, names in os.walk(folder) for name in names)
    await store.remove_voice("one", anna)
    assert [name for _, _, names in os.walk(folder) for name in names] == []


async def test_a_store_out_of_reach_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    with pytest.raises(VoicesUnavailable):
        await VoiceStore(Objects(tmp_path, "s3://nowhere")).voices("one")
