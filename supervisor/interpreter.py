"""The Python of the environments: a 3.11 or 3.12, with the shared library that Triton's Python backend is linked to.

`python -m supervisor.interpreter` prints its own path and that of its library, if it is one. Like
supervisor.environments, this module needs only the standard library, and runs in a Python that it rejects.
"""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

from supervisor import console, installer
from supervisor.cache import BuildError, cache_folder, home, locked

LIBPYTHON = "libpython{}.{}.so.1.0".format(*sys.version_info)
"""The library that the Python backend's stub is linked to."""
SETTING = "TRITONE_MANAGED_PYTHON"

_MANAGED = "3.12"
_FAILED = "failed"
"""A file beside the managed Pythons; its modification time is that of the last failed installation."""
_RETRY_AFTER = 3600
"""Seconds after a failed installation until the next one, for a Python that only lacks its library."""


def is_supported() -> bool:
    """Return whether the packages of the environments support this Python."""
    return (3, 11) <= sys.version_info < (3, 13)  # numpy 1.26 has no wheels for later ones


def find_libpython() -> Path | None:
    """Return the shared library of this interpreter, which every environment uses; None if it has none."""
    folders = [sysconfig.get_config_var("LIBDIR"), Path(sys.base_prefix) / "lib"]
    candidates = [Path(folder) / LIBPYTHON for folder in folders if folder]
    return next((path for path in candidates if path.exists()), None)


def replacement(root: Path) -> str | None:
    """Return the Python to run instead of this one, None to keep it. May install one for the clone `root`.

    Raises `BuildError`.
    """
    supported = is_supported()
    if supported and (find_libpython() or os.environ.get("PYTHON")):
        return None
    without_library = None
    for candidate in _candidates():
        python, library = _describe(candidate, root)
        if python and library:
            return python
        without_library = without_library or python
    try:
        return _install(root, hurried=supported or without_library is not None)
    except _NotInstalledError as error:
        if supported:
            return None  # only a server needs the library, and its preflight names the package
        if without_library:
            return without_library
        have = platform.python_version()
        raise BuildError(
            f"Tritone needs Python 3.11 or 3.12, and this is {have}: install one, or set PYTHON to its path ({error})"
        ) from None


class _NotInstalledError(Exception):
    """No Python was installed; the message gives the reason."""


def _candidates() -> Iterator[Path | str]:
    """Yield the Pythons on PATH, in pyenv, among uv's and in the cache that may be supported, best first."""
    yield from ("python3.12", "python3.11")
    data = Path(os.environ.get("XDG_DATA_HOME") or home() / ".local" / "share")
    folders = [
        Path(os.environ.get("PYENV_ROOT") or home() / ".pyenv") / "versions",
        Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python"),
        _managed_folder(),
    ]
    for folder in folders:
        for minor in (12, 11):
            with contextlib.suppress(OSError):
                yield from sorted(folder.glob(f"*3.{minor}*/bin/python3.{minor}"), reverse=True)


def _managed_folder() -> Path:
    return cache_folder() / "python"


def _describe(python: Path | str, root: Path) -> tuple[str | None, str]:
    """Return the path of an interpreter and of its library; (None, "") if it does not run or is not supported."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [python, "-m", "supervisor.interpreter"], cwd=root, capture_output=True, text=True, check=True, timeout=60
        )
        found, _, library = done.stdout.partition("\n")
        return found or None, library.strip()
    return None, ""


def _install(root: Path, hurried: bool) -> str:
    """Let uv install a Python into the cache, and return its path.

    A `hurried` installation is not tried again soon after a failure. Raises `_NotInstalledError`.
    """
    if os.environ.get(SETTING, "").lower() in ("false", "0", "no"):
        raise _NotInstalledError(f"{SETTING}={os.environ[SETTING]} forbids uv to install one")
    folder = _managed_folder()
    failed = folder / _FAILED
    with contextlib.suppress(OSError):
        if hurried and time.time() - failed.stat().st_mtime < _RETRY_AFTER:
            raise _NotInstalledError("uv could not install one")
    try:
        uv = installer.find_uv(root)
    except installer.NoUvError as error:
        raise _NotInstalledError(str(error)) from None
    with locked(folder):
        if python := _newest(folder, root):  # another process may have installed it meanwhile
            return python
        console.info(
            f"uv installs Python {_MANAGED} into {folder}, because there is no 3.11 or 3.12 with its shared library "
            f"({SETTING}=false forbids it)"
        )
        command: list[str | Path] = [uv, "python", "install", "--no-bin", "--install-dir", folder, _MANAGED]
        variables = installer.Installer(uv).variables(os.environ)
        variables["UV_PYTHON_DOWNLOADS"] = os.environ.get("UV_PYTHON_DOWNLOADS") or "manual"
        done = subprocess.run(
            command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if python := _newest(folder, root):
            return python
        with contextlib.suppress(OSError):
            folder.mkdir(exist_ok=True)
            failed.touch()
        raise _NotInstalledError(f"uv could not install one: {' '.join(done.stderr.split())}")


def _newest(folder: Path, root: Path) -> str | None:
    pythons = sorted(folder.glob(f"cpython-{_MANAGED}*/bin/python{_MANAGED}"), reverse=True)
    return next((python for path in pythons for python, library in [_describe(path, root)] if python and library), None)


if __name__ == "__main__" and is_supported():
    sys.stdout.write(f"{sys.executable}\n{find_libpython() or ''}\n")
