"""Where a caller's `ref_audio` is: in the request, in the folder of references, or at an address."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
from pathlib import Path
from typing import Final

from gateway.audio.decoding import Pcm
from gateway.audio.reference import bad_reference, read_reference
from gateway.settings import Settings
from gateway.speech.download import download

_URLS: Final = ("http://", "https://")


async def reference(source: str, settings: Settings) -> Pcm:
    """The samples that `ref_audio` stands for, as `read_reference` gives them. The first of these that it looks like:

    1. `data:`, in base64: the recording itself
    2. `http://` or `https://`: its address, where ALLOW_REF_AUDIO_URLS is set
    3. anything with a dot in it, which base64 never has: a file below REF_AUDIO_DIR
    4. the recording itself, in base64

    Raises `BadRequest`.
    """
    start = source[:8].lower()
    if start.startswith(_URLS):
        if not settings.allow_ref_audio_urls:
            raise bad_reference("addresses are not fetched here (ALLOW_REF_AUDIO_URLS); send the recording in base64")
        file = await download(source, settings.max_upload_bytes, settings.ref_audio_hosts)
        return await asyncio.to_thread(read_reference, file)
    return await asyncio.to_thread(_read, source, start.startswith("data:"), settings)


def _read(source: str, data_url: bool, settings: Settings) -> Pcm:
    if data_url:
        return read_reference(_from_data_url(source))
    if "." in source:
        return read_reference(_from_folder(source, settings.ref_audio_dir, settings.max_upload_bytes))
    return read_reference(_from_base64(source))


def _from_data_url(url: str) -> bytes:
    form, _, data = url.partition(",")
    if not form.lower().endswith(";base64"):
        raise bad_reference("a data URL must be in base64, as `data:audio/wav;base64,...`")
    return _from_base64(data)


def _from_base64(text: str) -> bytes:
    try:
        packed = text.encode("ascii").translate(None, b" \t\r\n")  # line by line, as many tools write it
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except ValueError:
        raise bad_reference("it is neither base64 nor the name of a file (with a dot) nor an address") from None


def _from_folder(name: str, folder: Path, max_bytes: int) -> bytes:
    """A regular file below `folder`, links followed; what lies outside is as missing as what is not there."""
    missing = bad_reference("there is no such file below REF_AUDIO_DIR")
    try:
        root = folder.resolve(strict=True)
        path = (root / name).resolve(strict=True)
        if not path.is_relative_to(root):
            raise missing
        # A pipe would hold up who opens it.
        with open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise missing
            if found.st_size > max_bytes:
                raise bad_reference(f"the file holds more than {max_bytes} bytes")
            return file.read()
    except (OSError, ValueError, RuntimeError):  # a name with a NUL, links in a circle
        raise missing from None
