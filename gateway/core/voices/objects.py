"""The objects of the voices: files in a local folder, or objects in a bucket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from gateway.core.errors import VoicesUnavailable

_CLIENT: Final[Any] = {"timeout": "20s", "connect_timeout": "5s", "allow_http": True}
"""The operator chooses the address, and may choose one without TLS."""
_RETRY: Final[Any] = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}


@dataclass(frozen=True)
class Entry:
    """An object in a list."""

    path: str
    age: float
    """Seconds since it was written."""


class Objects:
    """Objects by path: each appears whole or not at all. All methods raise `VoicesUnavailable`."""

    def __init__(self, folder: Path, url: str = "") -> None:
        """`url` is a bucket with a prefix, `s3://bucket/prefix`; if it is empty, `folder` holds the objects."""
        self._folder = folder
        self._url = url
        self._opened: Any = None

    async def get(self, path: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        with _reported():
            if store := await self._store():
                with suppress(FileNotFoundError):
                    return bytes(await (await store.get_async(path)).bytes_async())
        return None

    async def put(self, path: str, content: bytes) -> None:
        """Write an object, over an older one if there is one."""
        with _reported():
            store = await self._store(make=True)
            await store.put_async(path, content)

    async def create(self, path: str, content: bytes) -> bool:
        """Write a new object, and return False if there is one already: of several callers one gets True."""
        with _reported():
            store = await self._store(make=True)
            try:
                await store.put_async(path, content, mode="create")
            except _obstore().exceptions.AlreadyExistsError:
                return False
        return True

    async def delete(self, path: str) -> None:
        """Delete an object if it exists."""
        with _reported():
            if store := await self._store():
                with suppress(FileNotFoundError):
                    await store.delete_async(path)

    async def list(self, prefix: str) -> list[Entry]:
        """Return all objects below a folder."""
        now = time.time()
        with _reported():
            store = await self._store()
            found = await store.list(prefix).collect_async() if store else []
        return [Entry(each["path"], now - each["last_modified"].timestamp()) for each in found]

    async def _store(self, *, make: bool = False) -> Any:
        """Return the store; None if it is a folder that does not exist, and shall not be made."""
        if self._opened is None:
            self._opened = await asyncio.to_thread(self._open, make=make)
        return self._opened

    def _open(self, *, make: bool) -> Any:
        if self._url:
            return _obstore().store.from_url(self._url, client_options=_CLIENT, retry_config=_RETRY)
        if make:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._folder.is_dir():
            return None
        return _obstore().store.LocalStore(self._folder, automatic_cleanup=True)


def _obstore() -> Any:
    """Return the package, 4 MB that a gateway without voices does not need."""
    import obstore.exceptions  # noqa: PLC0415
    import obstore.store  # noqa: PLC0415

    return obstore


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except (_obstore().exceptions.BaseError, OSError, ValueError) as error:
        raise VoicesUnavailable(f"{type(error).__name__}: {error}".partition("\n")[0]) from error
