"""The requirements files of the environments: their places, their pins, and the `# tritone:` comments in them.

`# tritone: needs N GB of disk` replaces `DISK_NEEDED`; `# tritone: optional` leaves an environment out of `all`;
`# tritone: compiled` has all bytecode written at the build, for programs that import most of it or treat a compiler's
warning as an error. Like supervisor.environments, this module needs only the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

FOLDERS = ("requirements", "requirements/models")
GROUPS = ("all", "models")
DISK_NEEDED = 3 << 29
"""Bytes that must be free in the cache folder before a build: the size of the default environments together."""

_WITHOUT_DEPENDENCIES = "no-deps"
_SHARED = "constraints"
"""The file of versions that the others include; it is no environment."""
_NAME_END = re.compile(r"[^A-Za-z0-9._-]")
_DISK = re.compile(r"^# tritone: needs (\d+) GB of disk$", re.MULTILINE)
_OPTIONAL = re.compile(r"^# tritone: optional$", re.MULTILINE)
_COMPILED = re.compile(r"^# tritone: compiled$", re.MULTILINE)


def find(root: Path, name: str) -> tuple[Path, Path]:
    """Return the files of an environment: that of packages with their dependencies, and that of packages without.

    Either may be missing.
    """
    pairs = [
        (root / folder / f"{name}.txt", root / folder / _WITHOUT_DEPENDENCIES / f"{name}.txt") for folder in FOLDERS
    ]
    return next((pair for pair in pairs if any(file.exists() for file in pair)), pairs[0])


def names(root: Path, group: str = "") -> list[str]:
    """Return the environments of a group, `models` or `all`; every one without a group."""
    folders = FOLDERS[1:] if group == "models" else FOLDERS
    files = [path for folder in folders for path in sorted((root / folder).rglob("*.txt")) if path.stem != _SHARED]
    optional = {path.stem for path in files if _OPTIONAL.search(path.read_text(encoding="utf-8"))} if group else set()
    return [name for name in dict.fromkeys(path.stem for path in files) if name not in optional]


def pins(file: Path) -> Iterator[str]:
    """Yield the lines that name packages, with those of files that `file` includes, but not those of constraints."""
    for line in _lines(file):
        if line.startswith("-r "):
            yield from pins(file.parent / line[3:].strip())
        elif not line.startswith("-c "):
            yield line


def constraints(file: Path) -> dict[str, str]:
    """Return the line of each package in the constraints that `file` includes, by the package's normalized name."""
    found: dict[str, str] = {}
    for line in _lines(file):
        if line.startswith("-r "):
            found |= constraints(file.parent / line[3:].strip())
        elif line.startswith("-c "):
            found |= {normalized(_NAME_END.split(pin)[0]): pin for pin in _lines(file.parent / line[3:].strip())}
    return found


def normalized(name: str) -> str:
    """Return a package's name as the index compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def version(root: Path, package: str) -> str | None:
    """Return the version of a package in the shared constraints; None if they do not name it."""
    for line in _lines(root / FOLDERS[0] / f"{_SHARED}.txt"):
        name, _, number = line.partition("==")
        if name == package:
            return number
    return None


def _lines(file: Path) -> Iterator[str]:
    """Yield the lines of a file without comments and empty ones."""
    for line in file.read_text(encoding="utf-8").splitlines():
        pin = line.split(" #")[0].strip()
        if pin and not pin.startswith("#"):
            yield pin


def disk_needed(files: Sequence[Path]) -> int:
    """Return the bytes that must be free before an environment of these files is built."""
    declared = [_DISK.search(file.read_text(encoding="utf-8")) for file in files]
    return max((int(match[1]) << 30 for match in declared if match), default=DISK_NEEDED)


def is_compiled(files: Sequence[Path]) -> bool:
    """Return whether all bytecode of an environment of these files is written at the build.

    Else Python writes that of a module at its first import: a start imports a third of the modules.
    """
    return any(_COMPILED.search(file.read_text(encoding="utf-8")) for file in files)


def pip_options(file: Path) -> list[str]:
    """Return pip's options for a requirements file: `--no-deps` for one in a folder of that name."""
    return ["--no-deps"] if file.parent.name == _WITHOUT_DEPENDENCIES else []
