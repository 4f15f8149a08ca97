"""The Python environments: one a name in requirements/, built once for every clone on the machine.

    python3 -m supervisor.environments NAME COMMAND...   make sure that NAME stands, then become COMMAND in it
    python3 -m supervisor.environments --build NAME...   make sure that each stands

COMMAND is a program of the environment with its arguments, or, where it begins with `-`, arguments for its
Python. An environment is a venv in the cache folder (TRITONE_CACHE, else $XDG_CACHE_HOME/tritone, else
~/.cache/tritone), and `envs/NAME` in the clone is a link to it. This is the one module that runs before any
environment stands: it needs nothing but the standard library, and Pythons that it refuses can still read it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from supervisor.console import complain, say

ROOT = Path(__file__).resolve().parents[1]
ROOM_NEEDED = 3 << 29
"""Bytes that must be free in the cache folder before a build begins: what the default environments take together."""
MORE_ROOM_NEEDED = {"qwen": 8 << 30}
"""The same for those that take more: torch brings CUDA."""

MARKER = "complete"
"""A file that every whole environment holds; its time is that of the last use."""
_BIG_DOWNLOAD = re.compile(r"\s*Downloading (\S+) \((\d{2,}\S* MB|\S+ GB)\)")


class BuildError(Exception):
    """An environment cannot be had; the message says why, and what to do."""


def cache_folder() -> Path:
    """The folder that environments, downloads and run directories share across clones."""
    if explicit := os.environ.get("TRITONE_CACHE"):
        return Path(explicit).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "tritone"


@dataclass(frozen=True)
class Environment:
    """The environment that `requirements/<name>.txt` and `requirements/no-deps/<name>.txt` in the clone make."""

    name: str
    root: Path = ROOT

    @property
    def link(self) -> Path:
        """Where the clone and the models' configurations look for it."""
        return self.root / "envs" / self.name

    @property
    def requirements(self) -> Path:
        """The file of the packages that are installed together with what they ask for."""
        return self.root / "requirements" / f"{self.name}.txt"

    @property
    def bare_requirements(self) -> Path:
        """The file of those that are installed afterwards, and alone."""
        return self.root / "requirements" / "no-deps" / f"{self.name}.txt"

    @property
    def files(self) -> list[Path]:
        """Those of the two that there are, in the order in which they are installed."""
        return [file for file in (self.requirements, self.bare_requirements) if file.exists()]

    @cached_property
    def folder(self) -> Path:
        """The venv itself: a folder that an image put in the link's place, else one in a cache.

        Its name carries the pinned requirements and the interpreter, so that a change of either makes a new one.
        """
        if self.link.is_dir() and not self.link.is_symlink():
            return self.link
        interpreter = (platform.python_version(), sysconfig.get_platform(), sys.base_prefix)
        pins = [pin for file in self.files for pin in _pins(file)]
        identity = "\n".join((*pins, *interpreter))
        name = f"{self.name}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
        linked = self.link.resolve()
        return linked if linked.name == name and linked.is_dir() else cache_folder() / "envs" / name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def stands(self) -> bool:
        """Whether it is whole: neither half-built nor left behind by an interpreter that is gone."""
        return self.python.exists() and ((self.folder / MARKER).exists() or self.folder == self.link)

    def ensure(self) -> None:
        """Build it where it does not stand, point the link at it, and note its use. Raises `BuildError`."""
        if not self.stands:
            with locked(self.folder) as lock:
                if not self.stands:  # nobody built it while we waited
                    self._build(lock)
        if self.link.resolve() != self.folder.resolve():
            self._relink()
        with contextlib.suppress(OSError):  # an image's own, or a cache that is not ours to write
            os.utime(self.folder / MARKER)

    def _build(self, lock: IO[str]) -> None:
        needed = MORE_ROOM_NEEDED.get(self.name, ROOM_NEEDED)
        if (free := shutil.disk_usage(self.folder.parent).free) < needed:
            raise BuildError(
                f"environment {self.name}: {free >> 20} MB are free in {cache_folder()} and "
                f"{needed >> 20} are needed: make room, or set TRITONE_CACHE to a folder that has it"
            )
        if importlib.util.find_spec("ensurepip") is None:
            package = "python{}.{}-venv".format(*sys.version_info)
            raise BuildError(f"environment {self.name}: this Python cannot make venvs: install {package}")
        say(f"environment {self.name}: building")
        started = time.monotonic()
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self._run(lock, sys.executable, "-m", "venv", self.folder)
            for file in self.files:
                self._run(lock, self.python, "-m", "pip", "install", "--no-input", *pip_options(file), "-r", file)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        (self.folder / MARKER).touch()
        say(f"environment {self.name}: built in {time.monotonic() - started:.0f} s")

    def _run(self, lock: IO[str], *command: str | Path) -> None:
        """Run a step of the build, telling large downloads alone, and all of the end if it fails.

        The step holds the lock too: where we are killed, the next build waits until it is really over.
        """
        tail: deque[str] = deque(maxlen=20)
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=clean_environment() | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off"},
            pass_fds=[lock.fileno()],
            process_group=0,
        ) as step:
            assert step.stdout is not None
            try:
                for line in step.stdout:
                    tail.append(line)
                    if download := _BIG_DOWNLOAD.match(line):
                        say(f"environment {self.name}: downloading {download[1]} ({download[2]})")
            except BaseException:
                os.killpg(step.pid, signal.SIGTERM)
                step.wait()
                raise
        if step.returncode:
            raise BuildError(f"environment {self.name} could not be built:\n{''.join(tail).rstrip()}")

    def _relink(self) -> None:
        fresh = self.link.with_name(f".{self.name}.{os.getpid()}")
        try:
            self.link.parent.mkdir(exist_ok=True)
            fresh.symlink_to(self.folder)
            fresh.replace(self.link)
        except OSError as error:
            raise BuildError(f"environment {self.name} could not be linked into the clone: {error}") from None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[IO[str]]:
    """Be the one process that changes the environment `folder`. Raises `BuildError`."""
    path = Path(f"{folder}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise BuildError(f"environment {folder.name}: {error}: set TRITONE_CACHE to a writable folder") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"environment {folder.name}: waiting for another process that builds it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def pip_options(requirements: Path) -> list[str]:
    """How pip is to treat the packages of a requirements file: with what they ask for, or alone."""
    return ["--no-deps"] if requirements.parent.name == "no-deps" else []


def clean_environment() -> dict[str, str]:
    """The caller's environment variables, less those that would let foreign modules into an environment."""
    foreign = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {k: v for k, v in os.environ.items() if k not in foreign} | {"PYTHONNOUSERSITE": "1"}


def find_python() -> str | None:
    """A Python on PATH that Tritone runs on; None where there is none."""
    for name in ("python3.12", "python3.11"):
        check = [name, "-c", "import ensurepip, sys; print(sys.executable)"]
        with contextlib.suppress(OSError):
            found = subprocess.run(check, capture_output=True, text=True, check=False)
            if found.returncode == 0:
                return found.stdout.strip()
    return None


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; returns only from `--build`, and from failures."""
    if not (3, 11) <= sys.version_info < (3, 13):  # numpy 1.26 has no wheels for later ones
        python = find_python()
        if python is None:
            have = platform.python_version()
            return _fail(f"Tritone needs Python 3.11 or 3.12, and this is {have}: install one, or set PYTHON to it")
        os.execv(python, [python, "-m", "supervisor.environments", *arguments])  # noqa: S606 - our own list
    known = sorted({path.stem for path in (ROOT / "requirements").rglob("*.txt")} - {"constraints"})
    building = arguments[:1] == ["--build"]
    names = arguments[1:] if building else arguments[:1]
    if not names or not set(names) <= set(known):
        return _fail(f"name an environment: {', '.join(known)}\n\n{__doc__}", 2)
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, _interrupt)
    try:
        if len(names) > 1:
            return _build_together(names)
        environment = Environment(names[0])
        environment.ensure()
    except BuildError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    if not building:
        _become(environment, arguments[1:])
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, signal.SIG_IGN)  # a second one must not break the clearing up
    raise KeyboardInterrupt


def _build_together(names: Sequence[str]) -> int:
    missing = []
    for name in names:
        environment = Environment(name)
        if _settled(environment):
            environment.ensure()
        else:
            missing.append(name)
    builds = [subprocess.Popen([sys.executable, "-m", __spec__.name, "--build", name]) for name in missing]
    try:
        return max((build.wait() for build in builds), default=0)
    except KeyboardInterrupt:
        for build in builds:
            build.terminate()
        for build in builds:
            build.wait()
        raise


def _settled(environment: Environment) -> bool:
    return environment.stands and environment.link.resolve() == environment.folder.resolve()


def _become(environment: Environment, command: Sequence[str]) -> NoReturn:
    binaries = environment.folder / "bin"
    variables = clean_environment()
    variables["PATH"] = f"{binaries}{os.pathsep}{variables.get('PATH', os.defpath)}"
    program, *rest = command if command and not command[0].startswith("-") else ("python", *command)
    os.execve(binaries / program, [str(binaries / program), *rest], variables)  # noqa: S606 - no shell wanted


def _pins(requirements: Path) -> Iterator[str]:
    """The lines that decide what is installed, those of included files among them."""
    for line in requirements.read_text(encoding="utf-8").splitlines():
        pin = line.split(" #")[0].strip()
        if pin.startswith(("-r ", "-c ")):
            yield from _pins(requirements.parent / pin[3:].strip())
        elif pin and not pin.startswith("#"):
            yield pin


def _fail(message: str, status: int = 1) -> int:
    complain(message)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
