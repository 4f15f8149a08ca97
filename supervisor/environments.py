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

from supervisor import console

ROOT = Path(__file__).resolve().parents[1]
DISK_NEEDED = 3 << 29
"""Bytes that must be free in the cache folder before a build: the size of the default environments together.

A requirements file that needs more says so in a line `# tritone: needs N GB of disk`.
"""

MARKER = "complete"
"""A file in every complete environment; its modification time is the time of the last use."""
_FOLDERS = ("requirements", "requirements/models")
_GROUPS = ("all", "models")
_DISK = re.compile(r"^# tritone: needs (\d+) GB of disk$", re.MULTILINE)
_OPTIONAL = re.compile(r"^# tritone: optional$", re.MULTILINE)
_BIG_DOWNLOAD = re.compile(r"\s*Downloading (\S+) \((\d{2,}\S* MB|\S+ GB)\)")


class BuildError(Exception):
    """An environment cannot be built; the message gives the reason and the remedy."""


def cache_folder() -> Path:
    """Return the folder of the environments, downloads and run folders of all clones."""
    if explicit := os.environ.get("TRITONE_CACHE"):
        return Path(explicit).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "tritone"


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
        return self._folder / f"{self.name}.txt"

    @property
    def bare_requirements(self) -> Path:
        """The file of the packages that are installed afterwards, without their dependencies."""
        return self._folder / "no-deps" / f"{self.name}.txt"

    @property
    def _folder(self) -> Path:
        name = f"{self.name}.txt"
        folders = [self.root / folder for folder in _FOLDERS]
        found = (folder for folder in folders if (folder / name).exists() or (folder / "no-deps" / name).exists())
        return next(found, folders[0])

    @property
    def files(self) -> list[Path]:
        """The existing ones of these two files, in the order of installation."""
        return [file for file in (self.requirements, self.bare_requirements) if file.exists()]

    @cached_property
    def folder(self) -> Path:
        """The venv: the folder `envs/<name>` if an image has a real folder there, else a folder in the cache.

        The folder's name contains a hash of the pinned requirements and the interpreter, so a change of either makes
        another folder.
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
        """The path of its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def disk_needed(self) -> int:
        """Bytes that must be free before it is built."""
        declared = [_DISK.search(file.read_text(encoding="utf-8")) for file in self.files]
        return max((int(match[1]) << 30 for match in declared if match), default=DISK_NEEDED)

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
        needed = self.disk_needed
        if (free := shutil.disk_usage(self.folder.parent).free) < needed:
            raise BuildError(
                f"environment {self.name}: {free >> 20} MB are free in {cache_folder()} and "
                f"{needed >> 20} are needed: free some, or set TRITONE_CACHE to a folder on a larger disk"
            )
        if importlib.util.find_spec("ensurepip") is None:
            package = "python{}.{}-venv".format(*sys.version_info)
            raise BuildError(f"environment {self.name}: this Python cannot create venvs: install {package}")
        console.info(f"environment {self.name}: building")
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
        console.info(f"environment {self.name}: built in {time.monotonic() - started:.0f} s")

    def _run(self, lock: IO[str], *command: str | Path) -> None:
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
            env=clean_environment() | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off"},
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
    """Hold the lock of the environment `folder` for a change. Raises `BuildError`."""
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
            console.info(f"environment {folder.name}: waiting for another process to build it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def pip_options(requirements: Path) -> list[str]:
    """Return pip's options for a requirements file: `--no-deps` for one in a folder of that name."""
    return ["--no-deps"] if requirements.parent.name == "no-deps" else []


def clean_environment() -> dict[str, str]:
    """Return the environment variables without those that would add foreign modules to an environment."""
    foreign = {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"}
    return {k: v for k, v in os.environ.items() if k not in foreign} | {"PYTHONNOUSERSITE": "1"}


def find_python() -> str | None:
    """Return a supported Python on PATH, or None."""
    for name in ("python3.12", "python3.11"):
        check = [name, "-c", "import ensurepip, sys; print(sys.executable)"]
        with contextlib.suppress(OSError):
            found = subprocess.run(check, capture_output=True, text=True, check=False)
            if found.returncode == 0:
                return found.stdout.strip()
    return None


def names(group: str = "all", root: Path = ROOT) -> list[str]:
    """Return the environments of a group: `models`, or `all` without those marked `# tritone: optional`."""
    folders = _FOLDERS[1:] if group == "models" else _FOLDERS
    files = [path for folder in folders for path in sorted((root / folder).rglob("*.txt"))]
    found = dict.fromkeys(path.stem for path in files if path.stem != "constraints")
    environments = [Environment(name, root) for name in found]
    return [each.name for each in environments if not any(_OPTIONAL.search(f.read_text()) for f in each.files)]


def main(arguments: Sequence[str]) -> int:
    """Run the command line; return only from `--build` and after a failure."""
    if not (3, 11) <= sys.version_info < (3, 13):  # numpy 1.26 has no wheels for later ones
        python = find_python()
        if python is None:
            have = platform.python_version()
            return _fail(
                f"Tritone needs Python 3.11 or 3.12, and this is {have}: install one, or set PYTHON to its path"
            )
        os.execv(python, [python, "-m", "supervisor.environments", *arguments])  # noqa: S606 - our own list
    known = sorted({path.stem for path in (ROOT / "requirements").rglob("*.txt")} - {"constraints"})
    building = arguments[:1] == ["--build"]
    wanted = arguments[1:] if building else arguments[:1]
    if not wanted or not set(wanted) <= {*known, *(_GROUPS if building else ())}:
        return _fail(f"name an environment: {', '.join(known)}\n\n{__doc__}", 2)
    expanded = list(dict.fromkeys(name for word in wanted for name in (names(word) if word in _GROUPS else [word])))
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, _interrupt)
    try:
        if len(expanded) > 1:
            return _build_together(expanded)
        environment = Environment(expanded[0])
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
    binaries = environment.folder / "bin"
    variables = clean_environment()
    variables["PATH"] = f"{binaries}{os.pathsep}{variables.get('PATH', os.defpath)}"
    program, *rest = command if command and not command[0].startswith("-") else ("python", *command)
    os.execve(binaries / program, [str(binaries / program), *rest], variables)  # noqa: S606 - no shell wanted


def _pins(requirements: Path) -> Iterator[str]:
    """Yield the lines that decide the content, with those of included files."""
    for line in requirements.read_text(encoding="utf-8").splitlines():
        pin = line.split(" #")[0].strip()
        if pin.startswith(("-r ", "-c ")):
            yield from _pins(requirements.parent / pin[3:].strip())
        elif pin and not pin.startswith("#"):
            yield pin


def _fail(message: str, status: int = 1) -> int:
    console.error(message)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
