"""The program that installs packages into the environments: uv, which is several times faster, else pip.

TRITONE_INSTALLER is `uv` or `pip` to take no other one. uv is a wheel from the package index, in the version that
requirements/constraints.txt names, in a folder of its own in the cache; where the index does not have it, a uv on PATH
is used. Like supervisor.environments, this module needs only the standard library.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor import console, pip_settings, requirements
from supervisor.cache import BuildError, cache_folder, locked

SETTING = "TRITONE_INSTALLER"
VENV_PACKAGE = "python{}.{}-venv".format(*sys.version_info)
"""The package of Debian and Ubuntu with what Python needs to install pip."""

_COMPILE = "UV_COMPILE_BYTECODE"
_FOREIGN = {"UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_TARGET", "UV_PREFIX"}
"""Variables that would lead uv to another environment than the one that is built."""


@dataclass(frozen=True)
class Installer:
    """uv, or pip where `uv` is None."""

    uv: Path | None

    def create(self, folder: Path) -> list[str | Path]:
        """Return the command that makes the venv `folder`. Raises `BuildError`."""
        if self.uv:
            return [sys.executable, "-m", "venv", "--without-pip", folder]
        if importlib.util.find_spec("ensurepip") is None:
            raise BuildError(f"this Python cannot create venvs with pip: install {VENV_PACKAGE}")
        return [sys.executable, "-m", "venv", folder]

    def install(self, python: Path, file: Path, *, compiled: bool = False) -> list[str | Path]:
        """Return the command that installs a requirements file into the environment of `python`.

        `compiled`: write all bytecode now, as UV_COMPILE_BYTECODE in the environment asks for too.
        """
        options = requirements.pip_options(file)
        compiled = compiled or pip_settings.is_yes(os.environ.get(_COMPILE, ""))
        if self.uv:
            options += pip_settings.uv_options(pip_settings.read(os.environ))
            options += ["--compile-bytecode"] * compiled
            return [self.uv, "pip", "install", "--python", python, *options, "-r", file]
        options += ["--no-compile"] * (not compiled)
        return [python, "-m", "pip", "install", "--no-input", *options, "-r", file]

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables of these commands."""
        if not self.uv:
            # Without PEP 517, an old pip installs sources by setuptools' old way, which leaves them uncompiled.
            return {**environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off", "PIP_USE_PEP517": "1"}
        defaults = {
            "UV_CACHE_DIR": str(cache_folder() / "uv-cache"),  # on the disk of the environments: files are hard links
            "UV_INDEX_STRATEGY": "unsafe-best-match",  # pip's
            "UV_NO_PROGRESS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        }
        own = {name: value for name, value in environ.items() if name not in _FOREIGN}
        return {**defaults, **own, **pip_settings.uv_variables(pip_settings.read(environ), environ)}


class NoUvError(Exception):
    """uv cannot be had; the message gives the reason."""


def choose(root: Path) -> Installer:
    """Return the installer for the clone `root`; fetch uv if it is missing. Raises `BuildError`."""
    wanted = os.environ.get(SETTING) or "auto"
    if wanted not in ("auto", "uv", "pip"):
        raise BuildError(f"{SETTING}={wanted} must be `uv`, `pip` or `auto`")
    if wanted == "pip":
        return Installer(None)
    try:
        return Installer(find_uv(root))
    except NoUvError as error:
        if wanted == "uv":
            raise BuildError(f"{SETTING}=uv, but {error}") from None
        console.info(f"{error}: pip builds the environments, which takes longer")
        os.environ[SETTING] = "pip"  # for the processes that build the others
        return Installer(None)


def find_uv(root: Path) -> Path:
    """Return uv in the version that the clone `root` names; fetch it if it is missing. Raises `NoUvError`."""
    version = requirements.version(root, "uv")
    if version is None:
        raise NoUvError("requirements/constraints.txt names no version of uv")
    folder = cache_folder() / f"uv-{version}"
    program = folder / "bin" / "uv"
    if program.exists():
        return program
    with locked(folder):
        if not program.exists():  # another process may have fetched it meanwhile
            try:
                _fetch(version, folder)
            except NoUvError:
                if installed := shutil.which("uv"):
                    return Path(installed)
                raise
    return program


def _fetch(version: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        target = Path(temporary) / "target"
        command = [
            *_pip(Path(temporary) / "pip"),
            *("install", "--quiet", "--no-input", "--no-user", "--no-deps", "--only-binary=:all:"),
            *("--target", str(target), f"uv=={version}"),
        ]
        _run(command)
        _run([str(target / "bin" / "uv"), "--version"])  # it may be for another machine
        target.rename(folder)


def _pip(folder: Path) -> list[str]:
    """Return the command of a pip: that of this Python, else one in a new venv `folder`."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if importlib.util.find_spec("ensurepip") is None:
        raise NoUvError(f"uv cannot be fetched without pip (install uv, or {VENV_PACKAGE})")
    _run([sys.executable, "-m", "venv", str(folder)])
    return [str(folder / "bin" / "python"), "-m", "pip"]


def _run(command: Sequence[str]) -> None:
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise NoUvError(f"uv does not run here ({error})") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise NoUvError(f"uv cannot be fetched ({' '.join(lines[-1:]) or done.returncode})")
