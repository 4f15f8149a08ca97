"""Find the recording that `ref_audio` names: in the request, in the folder of references, or at an address."""

from __future__ import annotations

import asyncio
import os
import stat
from concurrent.futures import Executor
from pathlib import Path
from typing import Final

from gateway.audio.download import download
from gateway.audio.frames import Pcm
from gateway.audio.inline import from_base64, from_data_url, is_data_url
from gateway.audio.ref_audio import decode_ref_audio, ref_audio_error
from gateway.settings import GatewaySettings

_URLS: Final = ("http://", "https://")


async def load_ref_audio(source: str, settings: GatewaySettings, threads: Executor) -> Pcm:
    """Return the samples of `ref_audio`: those of `decode_ref_audio`, in the file of `read_ref_audio`."""
    file = await read_ref_audio(source, settings, threads)
    return await asyncio.get_running_loop().run_in_executor(threads, decode_ref_audio, file)


async def read_ref_audio(source: str, settings: GatewaySettings, threads: Executor) -> bytes:
    """Return the file of `ref_audio`, for `decode_ref_audio`. The first of these forms that fits is taken:

    1. `data:`, in base64: the recording itself
    2. `http://` or `https://`: its address, if ALLOW_REF_AUDIO_URLS is set
    3. text with a dot, which base64 never has: a file below REF_AUDIO_DIR
    4. the recording itself, in base64

    Files and base64 are read in `threads`. Raises `InvalidInput`.
    """
    if source[:8].lower().startswith(_URLS):
        if not settings.allow_ref_audio_urls:
            raise ref_audio_error("addresses are not fetched here (ALLOW_REF_AUDIO_URLS); send the recording in base64")
        return await download(source, settings.max_upload_bytes, settings.ref_audio_hosts)
    return await asyncio.get_running_loop().run_in_executor(threads, _content, source, settings)


def _content(source: str, settings: GatewaySettings) -> bytes:
    if "." in source and not is_data_url(source):
        return _from_folder(source, settings.ref_audio_dir, settings.max_upload_bytes)
    try:
        return from_data_url(source) if is_data_url(source) else from_base64(source)
    except ValueError:
        raise ref_audio_error(
            "it is neither base64 nor a data URL (`data:audio/wav;base64,...`) nor the name of a file (with a dot) "
            "nor an address"
        ) from None


def _from_folder(name: str, folder: Path, max_bytes: int) -> bytes:
    """Return a regular file below `folder`, following links; a file outside gives the same error as a missing one."""
    missing = ref_audio_error("there is no such file below REF_AUDIO_DIR")
    try:
        root = folder.resolve(strict=True)
        # By its text first: looking up a path outside would show which folders exist there.
        path = Path(os.path.normpath(folder.absolute() / name))
        if not any(map(path.is_relative_to, (folder.absolute(), root))):
            raise missing
        if not path.resolve(strict=True).is_relative_to(root):
            raise missing
        # Opening a pipe would block.
        with open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise missing
            if found.st_size > max_bytes:
                raise ref_audio_error(f"the file holds more than {max_bytes} bytes")
            return file.read()
    except (OSError, ValueError, RuntimeError):  # a name with a NUL, circular links
        raise missing from None
