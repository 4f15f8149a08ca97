"""What lies in MODEL_DIR and where each file comes from: `manifest.toml`, read and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

_PATH = Path(__file__).with_suffix(".toml")


class Kind(StrEnum):
    """How a source is asked."""

    HUB = "hub"
    URL = "url"
    PIP = "pip"
    NPM = "npm"
    APT = "apt"


@dataclass(frozen=True)
class Blob:
    """Exact content."""

    sha256: str
    size: int
    """bytes"""


@dataclass(frozen=True)
class Location:
    """Where a source keeps one file: the paths to join, in order, and the content that they must give."""

    parts: tuple[str, ...]
    blob: Blob


@dataclass(frozen=True)
class Source:
    """A place to fetch files from."""

    kind: Kind
    names: tuple[str, ...]
    """`owner/repository@revision`, a base address, or packages as their tool names them."""
    download: int
    """bytes that come over the line where the source is taken whole, as packages are; else 0."""
    locations: Mapping[str, Location]
    """File's path below MODEL_DIR/<id> -> where this source keeps it."""

    @property
    def door(self) -> str:
        """What is not knocked at again once it did not answer: a host, the hub, or a package tool."""
        return self.names[0].split("/")[2] if self.kind is Kind.URL else self.kind

    def __str__(self) -> str:
        return f"{self.kind} {', '.join(self.names)}"


@dataclass(frozen=True)
class Entry:
    """A model, or a set of recordings, as it lies in MODEL_DIR/<id>."""

    id: str
    licence: str
    page: str
    """Where a person reads about these files and may fetch them by hand."""
    files: Mapping[str, tuple[Blob, ...]]
    """Path below MODEL_DIR/<id> -> the contents that will do, the canonical one first."""
    sources: tuple[Source, ...]
    suffices: tuple[str, ...] = ()
    """Files with which a folder is somebody's own model, where one of them is not ours; () where nobody has one."""

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(blobs[0].size for blobs in self.files.values())


@cache
def load(path: Path = _PATH) -> Mapping[str, Entry]:
    """Every entry by its id. Raises `ValueError`, `KeyError` or `TypeError` for a malformed file."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return {id_: _entry(id_, **fields) for id_, fields in data.items()}


def _entry(
    id_: str,
    *,
    licence: str,
    page: str,
    files: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    suffices: Sequence[str] = (),
) -> Entry:
    for path in files:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{id_}: {path!r} leaves the model's folder")
    canonical = {path: Blob(**fields) for path, fields in files.items()}
    read = tuple(_source(canonical, **fields) for fields in sources)
    served = {path: [source.locations[path].blob for source in read if path in source.locations] for path in canonical}
    contents = {path: tuple(dict.fromkeys((blob, *served[path]))) for path, blob in canonical.items()}
    return Entry(id_, licence, page, contents, read, tuple(suffices))


def _source(
    files: Mapping[str, Blob], *, paths: Mapping[str, Any] | None = None, download: int = 0, **origin: Any
) -> Source:
    ((key, names),) = origin.items()
    kind = Kind(key)
    locations: dict[str, Location] = {}
    for path, place in (paths or {name: name for name in files}).items():
        if path.endswith("/"):  # a path of its own goes before its folder's, in whichever order they stand
            folder = {name: place + name.removeprefix(path) for name in files if name.startswith(path)}
            locations = {name: Location((inside,), files[name]) for name, inside in folder.items()} | locations
        elif isinstance(place, dict):
            locations[path] = Location((place["path"],), Blob(place["sha256"], place["size"]))
        else:
            locations[path] = Location((place,) if isinstance(place, str) else tuple(place), files[path])
    if unknown := locations.keys() - files.keys():
        raise ValueError(f"{kind} {names}: no such files: {sorted(unknown)}")
    return Source(kind, (names,) if isinstance(names, str) else tuple(names), download, locations)
