"""Files from registry packages: downloaded by pip, npm or apt-get, and read as archives; nothing in them is run."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from supervisor.weights.errors import SourceError, SourceUnreachableError
from supervisor.weights.manifest import Kind, Location, Source
from supervisor.weights.progress import Progress
from supervisor.weights.store import Store, WrongContentError

_QUIET_S = 20.0
"""A download without new bytes for this long is ended."""
_POLL_S = 0.2
_ABOUT_ITS_LOG = "Log files were not written"
"""A part of npm's last line, which says nothing of the fault."""


def fetch(source: Source, wanted: Mapping[str, Location], store: Store, progress: Progress) -> None:
    """Put the `wanted` files of the source's packages into the store; a file that is missing or differs is reported.

    Raises `SourceError` if a package cannot be downloaded.
    """
    with store.scratch() as folder:
        for name in source.names:
            command = _command(source.kind, name)
            what = f"{source.kind} {name}"
            run(command, folder, what=what, progress=progress, total=source.download, ending=store.ending)
        parts = _unpack(folder, {part for location in wanted.values() for part in location.parts})
        for name, location in wanted.items():
            try:
                store.admit(location.blob, _join([parts[part] for part in location.parts]))
            except KeyError as missing:
                progress.info(f"{source}: {name} skipped: {missing} is not in the package")
            except WrongContentError as error:
                progress.info(f"{source}: {name} skipped: {error}")


def run(
    command: Sequence[str],
    folder: Path,
    *,
    what: str,
    progress: Progress,
    total: int = 0,
    quiet_s: float = _QUIET_S,
    ending: threading.Event | None = None,
) -> None:
    """Run a download that writes only to `folder`, temporary files too, and report its progress.

    Raises `SourceError`, with the command's last line, if it fails, or once `ending` is set, and
    `SourceUnreachableError` if no bytes arrive for `quiet_s` seconds.
    """
    environment = os.environ | {"TMPDIR": str(folder), "npm_config_cache": str(folder / ".npm")}
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            report = partial(progress.bytes, what, total=total)
            _watch(process, folder, quiet_s, what, report, ending=ending or threading.Event())
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            stderr.seek(0)
            said = stderr.read().decode(errors="replace").splitlines()
            lines = [line for line in said if line.strip() and _ABOUT_ITS_LOG not in line]
            raise SourceError(f"{what} failed" + (f": {lines[-1].strip()}" if lines else ""))


def _watch(
    process: subprocess.Popen[bytes],
    folder: Path,
    quiet_s: float,
    what: str,
    report: Callable[[int], None],
    *,
    ending: threading.Event,
) -> None:
    seen, since = 0, time.monotonic()
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_POLL_S)
            return
        if ending.is_set():
            raise SourceError("ended")
        if (size := _bytes_in(folder)) != seen:
            seen, since = size, time.monotonic()
            report(size)
        elif time.monotonic() - since > quiet_s:
            raise SourceUnreachableError(f"{what} received nothing for {quiet_s:.0f} s")


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # the tool moves its files
                total += os.lstat(os.path.join(root, name)).st_size
    return total


def _command(kind: Kind, name: str) -> list[str]:
    """Return the command that downloads package `name` into the working folder without running any of it."""
    match kind:
        case Kind.PIP:
            if importlib.util.find_spec("pip") is None:
                raise SourceUnreachableError("this Python has no pip")
            return [
                *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--no-cache-dir"),
                *("download", "--no-deps", "--only-binary=:all:", "--retries=1", name),
            ]
        case Kind.NPM:
            return [_tool("npm"), "pack", "--ignore-scripts", "--fetch-retries=1", "--logs-max=0", name]
        case _:
            return [_tool("apt-get"), "download", "--option=Acquire::Retries=1", name]


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SourceUnreachableError(f"there is no {name} here")
    return path


def _unpack(folder: Path, names: set[str]) -> dict[str, Path]:
    """Extract the named members of the archives in `folder`; return the file of each."""
    found: dict[str, Path] = {}
    try:
        for archive in sorted(folder.iterdir()):
            for name, content in _members(archive, names):
                found[name] = folder / f".member{len(found)}"
                with content, found[name].open("wb") as out:
                    shutil.copyfileobj(content, out, 1 << 20)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise SourceError(f"{archive.name} cannot be read: {error}") from error
    return found


def _members(archive: Path, names: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the named files of a package with their content, in the archive's order."""
    match archive.suffix:
        case ".whl":
            with zipfile.ZipFile(archive) as wheel:
                for info in wheel.infolist():
                    if info.filename in names:
                        yield info.filename, wheel.open(info)
        case ".tgz":
            with tarfile.open(archive) as package:
                yield from _regular(package, names)
        case ".deb":
            command = [_tool("dpkg-deb"), "--fsys-tarfile", str(archive)]
            with (
                subprocess.Popen(command, stdout=subprocess.PIPE) as process,
                tarfile.open(fileobj=process.stdout, mode="r|") as package,
            ):
                yield from _regular(package, names)


def _regular(package: tarfile.TarFile, names: set[str]) -> Iterator[tuple[str, IO[bytes]]]:
    for member in package:
        name = member.name.removeprefix("./")
        if name in names and member.isreg() and (content := package.extractfile(member)) is not None:
            yield name, content


def _join(parts: list[Path]) -> Path:
    """Append the other parts to the first, and return it."""
    first, *others = parts
    with first.open("ab") as out:
        for part in others:
            with part.open("rb") as content:
                shutil.copyfileobj(content, out, 1 << 20)
            part.unlink()
    return first
