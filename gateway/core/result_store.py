"""Results in a bucket: the audio of a job, and its record, which is written once and never changes.

The record is the job's end. Whoever does the job again, because its first worker died before it could say so, finds the
record, or one of both is too late to write it and takes the other's; so all tell the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from gateway.core.errors import JobConflict, PayloadTooLarge, ResultsUnavailable
from gateway.core.results import Output, Record, ResultKey
from tritone.errors import InvalidInput

_CLIENT: Final[Any] = {"timeout": "60s", "connect_timeout": "5s", "allow_http": True}
_RETRY: Final[Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
_RECORD: Final = "result.json"
_DIGEST: Final = "request"
"""The field of a stored record that is not told."""


class ResultStore:
    """The results of all jobs in one bucket. The methods raise `ResultsUnavailable`."""

    def __init__(self, bucket: str, prefix: str = "", url_seconds: float = 86_400.0) -> None:
        """`url_seconds`: how long a signed URL is valid; a week at most."""
        self.bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._url_seconds = url_seconds
        self._opened: S3Store | None = None

    async def find(self, key: ResultKey) -> Record | None:
        """Return the record of a job that has ended. Raises `JobConflict` if it was another request."""
        with _reported(), suppress(FileNotFoundError):
            stored = await self._store.get_async(f"{self._prefix}{key.folder}/{_RECORD}")
            record = json.loads(bytes(await stored.bytes_async()))
            if record.pop(_DIGEST) != key.request:
                raise JobConflict(f"there is another request with the job id {key.job_id!r}")
            return dict(record)
        return None

    async def commit(self, key: ResultKey, output: Output) -> Record:
        """Store the audio, then the record, and return it; if the job has a record already, return that one."""
        record: dict[str, Any] = {"job_id": key.job_id, "type": key.kind, **output.facts}
        folder = f"{self._prefix}{key.folder}"
        if output.audio:
            # Two workers that made different audio must not overwrite each other's.
            name = f"{folder}/speech-{hashlib.sha256(output.audio).hexdigest()[:16]}.{output.suffix}"
            await self._create(name, output.audio, output.media_type)
            record |= {"bucket": self.bucket, "s3_key": name, "url": await self._sign(name)}
        content = json.dumps({**record, _DIGEST: key.request}, ensure_ascii=False).encode()
        if not await self._create(f"{folder}/{_RECORD}", content, "application/json"):
            found = await self.find(key)
            assert found, "records are never deleted while a job runs"
            record = dict(found)
        await self._remove_others(folder, record.get("s3_key", ""))
        return record

    async def read(self, path: str, most: int, field: str) -> bytes:
        """Return an object of the bucket, of at most `most` bytes. Raises `InvalidInput` and `PayloadTooLarge`."""
        with _reported():
            try:
                found = await self._store.get_async(path)
            except FileNotFoundError:
                raise InvalidInput(field, f"there is no {path[:256]!r} in the bucket {self.bucket}") from None
            if found.meta["size"] > most:
                raise PayloadTooLarge(field, f"it holds {found.meta['size']} bytes; at most {most} are allowed")
            return bytes(await found.bytes_async())

    async def set_aside(self, queue: str, message_id: str, content: Record) -> None:
        """Keep a message that cannot be worked on below `dead-letters/`."""
        body = json.dumps(content, ensure_ascii=False).encode()
        await self._create(f"{self._prefix}dead-letters/{queue}/{message_id}.json", body, "application/json")

    async def _create(self, path: str, content: bytes, media_type: str) -> bool:
        """Write a new object; return False if there is one already."""
        with _reported():
            try:
                await self._store.put_async(path, content, mode="create", attributes={"Content-Type": media_type})
            except AlreadyExistsError:
                return False
        return True

    async def _remove_others(self, folder: str, audio: str) -> None:
        """Remove the audio of workers that died before the record, or were too late for it."""
        with _reported():
            found = await self._store.list(folder).collect_async()
            if others := [each["path"] for each in found if each["path"] not in (audio, f"{folder}/{_RECORD}")]:
                await self._store.delete_async(others)

    async def _sign(self, path: str) -> str:
        with _reported():
            return await obstore.sign_async(self._store, "GET", path, timedelta(seconds=self._url_seconds))

    @property
    def _store(self) -> S3Store:
        """The bucket; region, credentials and endpoint are in `AWS_*` variables."""
        if self._opened is None:
            self._opened = S3Store(self.bucket, client_options=_CLIENT, retry_config=_RETRY)
        return self._opened


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        raise ResultsUnavailable(f"{type(error).__name__}: {error}".partition("\n")[0]) from error
