"""The Python environments: one for each file in requirements/, built once for every clone on the machine.

    python3 -m supervisor.environments NAME COMMAND...   build NAME if it is missing, then become COMMAND in it
    python3 -m supervisor.environments --build NAME...   build each that is missing

NAME is the stem of a file in requirements/ or requirements/models/; after --build, `models` means every environment of
the models, and `all` every environment but the optional ones. COMMAND is a program of the environment with its
arguments, or, if it begins with `-`, arguments for its Python. An environment is a venv in the cache folder
(TRITONE_CACHE, else $XDG_CACHE_HOME/tritone, else ~/.cache/tritone), and `envs/NAME` in the clone is a link to it.
This module runs before any environment exists: it needs only the standard library, and a Python that it rejects can
still parse it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from supervisor import console, installer, interpreter, requirements
from supervisor.cache import BuildError, cache_folder, locked
from supervisor.installer import Installer

ROOT = Path(__file__).resolve().parents[1]
MARKER = "complete"
"""A file in every complete environment; its modification time is the time of the last use."""
_UNREACHABLE = re.compile(r"connection (broken|refused)|error sending request|dns error|network is unreachable", re.I)
_BIG_DOWNLOAD = re.compile(r"\s*Downloading (\S+) \((\d{2,}\S* ?Mi?B|\S+ ?Gi?B)\)")


_PACKAGES = "lib/python*/site-packages/*.dist-info"


def _package(folder: Path) -> str:
    """Return the normalized name of the package of a folder `<name>-<version>.dist-info`."""
    return requirements.normalized(folder.name.partition("-")[0])


def _hash(parts: Iterable[str], digits: int) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:digits]


@dataclass(frozen=True)
class Environment:
    """The environment of `<name>.txt` and `no-deps/<name>.txt` in requirements/ or requirements/models/."""

    name: str
    root: Path = ROOT

    @property
    def link(self) -> Path:
        """The path at which the clone and the models' configurations expect it."""
        return self.root / "envs" / self.name

    @property
    def requirements(self) -> Path:
        """The file of the packages that are installed with their dependencies."""
        return requirements.find(self.root, self.name)[0]

    @property
    def bare_requirements(self) -> Path:
        """The file of the packages that are installed afterwards, without their dependencies."""
        return requirements.find(self.root, self.name)[1]

    @property
    def files(self) -> list[Path]:
        """The existing ones of these two files, in the order of installation."""
        return [file for file in requirements.find(self.root, self.name) if file.exists()]

    @cached_property
    def folder(self) -> Path:
        """The venv: the folder `envs/<name>` if an image has a real folder there, else a folder in the cache.

        The folder's name contains a hash of what is asked for and the interpreter, and one of the constraints. An
        environment that was built with other constraints is used if they were the same for all that is installed.
        """
        if self.link.is_dir() and not self.link.is_symlink():
            return self.link
        interpreter = (platform.python_version(), sysconfig.get_platform(), sys.base_prefix)
        pins = [pin for file in self.files for pin in requirements.pins(file)]
        asked = f"{self.name}-{_hash((*pins, *interpreter), 16)}"
        folder = cache_folder() / "envs" / f"{asked}-{_hash(sorted(self.constraints.values()), 8)}"
        linked = self.link.resolve()
        built = (path.parent for path in sorted(folder.parent.glob(f"{asked}-*/{MARKER}")))
        usable = (path for path in (linked, folder, *built) if path.name.startswith(asked) and self._agrees(path))
        return next(usable, folder)

    @cached_property
    def constraints(self) -> dict[str, str]:
        """The line of each package in the constraints, by the package's normalized name."""
        return {name: pin for file in self.files for name, pin in requirements.constraints(file).items()}

    def _agrees(self, folder: Path) -> bool:
        """Return whether `folder` was built with the present constraint of each package that is installed there."""
        try:
            then = dict(line.split("\t") for line in (folder / MARKER).read_text(encoding="utf-8").splitlines())
        except OSError:
            return False
        return then == self.constraints or all(
            then.get(name) == self.constraints.get(name) for name in map(_package, folder.glob(_PACKAGES))
        )

    @property
    def python(self) -> Path:
        """The path of its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def is_complete(self) -> bool:
        """True unless it is missing, half-built, or its interpreter is gone."""
        return self.python.exists() and ((self.folder / MARKER).exists() or self.folder == self.link)

    def ensure(self) -> None:
        """Build it if it is not complete, point the link at it, and mark it as used. Raises `BuildError`."""
        if not self.is_complete:
            with locked(self.folder) as lock:
                if not self.is_complete:  # another process may have built it meanwhile
                    self._build(lock)
        if self.link.resolve() != self.folder.resolve():
            self._relink()
        with contextlib.suppress(OSError):  # part of an image, or a read-only cache
            os.utime(self.folder / MARKER)

    def _build(self, lock: IO[str]) -> None:
        needed = requirements.disk_needed(self.files)
        if (free := shutil.disk_usage(self.folder.parent).free) < needed:
            raise BuildError(
                f"environment {self.name}: {free >> 20} MB are free in {cache_folder()} and "
                f"{needed >> 20} are needed: free some, or set TRITONE_CACHE to a folder on a larger disk"
            )
        console.info(f"environment {self.name}: building")
        started = time.monotonic()
        shutil.rmtree(self.folder, ignore_errors=True)
        tool = installer.choose(self.root)
        compiled = requirements.is_compiled(self.files)
        try:
            self._run(lock, tool, tool.create(self.folder))
            for file in self.files:
                self._run(lock, tool, tool.install(self.python, file, compiled=compiled))
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        marker = "".join(f"{name}\t{pin}\n" for name, pin in self.constraints.items())
        (self.folder / MARKER).write_text(marker, encoding="utf-8")
        console.info(f"environment {self.name}: built in {time.monotonic() - started:.0f} s")

    def _run(self, lock: IO[str], tool: Installer, command: Sequence[str | Path]) -> None:
        """Run a step of the build; log its large downloads, and its last lines if it fails.

        The step inherits the lock: if this process is killed, the next build waits until the step has ended.
        """
        tail: deque[str] = deque(maxlen=20)
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=tool.variables(clean_environment()),
            pass_fds=[lock.fileno()],
            process_group=0,
        ) as step:
            assert step.stdout is not None
            try:
                for line in step.stdout:
                    tail.append(line)
                    if download := _BIG_DOWNLOAD.match(line):
                        console.info(f"environment {self.name}: downloading {download[1]} ({download[2]})")
            except BaseException:
                os.killpg(step.pid, signal.SIGTERM)
                step.wait()
                raise
        if step.returncode:
            hint = f"\n{installer.SETTING}=pip builds it with pip" if tool.uv else ""
            if any(map(_UNREACHABLE.search, tail)):
                hint = "\nthe package index cannot be reached: see the network, HTTPS_PROXY, and pip's configuration"
            raise BuildError(f"environment {self.name} could not be built:\n{''.join(tail).rstrip()}{hint}")

    def _relink(self) -> None:
        fresh = self.link.with_name(f".{self.name}.{os.getpid()}")
        try:
            self.link.parent.mkdir(exist_ok=True)
            fresh.symlink_to(self.folder)
            fresh.replace(self.link)
        except OSError as error:
            raise BuildError(
                f"environment {self.name} could not be linked into the clone: {error}: use a clone that you may write"
            ) from None


def clean_environment() -> dict[str, str]:
    """Return the environment variables without those that would add foreign modules to an environment."""
    foreign = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {k: v for k, v in os.environ.items() if k not in foreign} | {"PYTHONNOUSERSITE": "1"}


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return only from `--build` and after a failure."""
    known = sorted(requirements.names(ROOT))
    building = arguments[:1] == ["--build"]
    wanted = arguments[1:] if building else arguments[:1]
    if not wanted or not set(wanted) <= {*known, *(requirements.GROUPS if building else ())}:
        return _fail(f"name an environment: {', '.join(known)}\n\n{__doc__}", 2)
    expanded = list(dict.fromkeys(name for word in wanted for name in _expanded(word)))
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, _interrupt)
    try:
        if python := interpreter.replacement(ROOT):
            variables = {**os.environ, "PYTHON": python}
            os.execve(python, [python, "-m", "supervisor.environments", *arguments], variables)  # noqa: S606 - our list
        if len(expanded) > 1:
            return _build_together(expanded)
        environment = Environment(expanded[0])
        environment.ensure()
    except BuildError as error:
        return _fail(str(error))
    except PermissionError as error:
        return _fail(
            f"{error}: set TRITONE_CACHE to a folder, or mount a volume there, that user {os.geteuid()} can write"
        )
    except KeyboardInterrupt:
        return 130
    if not building:
        _become(environment, arguments[1:])
    return 0


def _expanded(word: str) -> list[str]:
    return requirements.names(ROOT, word) if word in requirements.GROUPS else [word]


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, signal.SIG_IGN)  # a second one must not interrupt the cleanup
    raise KeyboardInterrupt


def _build_together(wanted: Sequence[str]) -> int:
    missing = []
    for name in wanted:
        environment = Environment(name)
        if _is_linked(environment):
            environment.ensure()
        else:
            missing.append(name)
    if missing:
        installer.choose(ROOT)  # once, before the processes that each need it
    builds = [subprocess.Popen([sys.executable, "-m", __spec__.name, "--build", name]) for name in missing]
    try:
        return max((build.wait() for build in builds), default=0)
    except KeyboardInterrupt:
        for build in builds:
            build.terminate()
        for build in builds:
            build.wait()
        raise


def _is_linked(environment: Environment) -> bool:
    return environment.is_complete and environment.link.resolve() == environment.folder.resolve()


def _become(environment: Environment, command: Sequence[str]) -> NoReturn:
    """Become the command; exit with 127 if it cannot be run."""
    binaries = environment.folder / "bin"
    variables = clean_environment()
    variables["PATH"] = f"{binaries}{os.pathsep}{variables.get('PATH', os.defpath)}"
    program, *rest = command if command and not command[0].startswith("-") else ("python", *command)
    try:
        os.execve(binaries / program, [str(binaries / program), *rest], variables)  # noqa: S606 - no shell wanted
    except OSError as error:
        sys.exit(_fail(f"{program} cannot be run in environment {environment.name}: {error.strerror}", 127))


def _fail(message: str, status: int = 1) -> int:
    console.error(message)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
