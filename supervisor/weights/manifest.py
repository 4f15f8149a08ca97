"""The content of MODEL_DIR and the sources of each file: `manifest.toml`, and `weights.toml` of each family."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

from supervisor.settings import inherited
from supervisor.weights.errors import FetchError
from tritone.families import Family, load_all
from tritone.settings import EXTRA_FAMILIES

_SHARED: Final = Path(__file__).with_suffix(".toml")
_OF_A_FAMILY: Final = "weights.toml"


class Kind(StrEnum):
    """The protocol of a source."""

    HUB = "hub"
    URL = "url"
    PIP = "pip"
    NPM = "npm"
    APT = "apt"


@dataclass(frozen=True)
class Blob:
    """The exact content of a file."""

    sha256: str
    size: int
    """bytes"""


@dataclass(frozen=True)
class Location:
    """The place of one file at a source: the paths to join, in order, and the content of the result."""

    parts: tuple[str, ...]
    blob: Blob


@dataclass(frozen=True)
class Source:
    """A place that serves files."""

    kind: Kind
    names: tuple[str, ...]
    """`owner/repository@revision`, a base address, or the names of packages."""
    download: int
    """Bytes to download for packages, which are fetched whole; 0 for other sources."""
    locations: Mapping[str, Location]
    """A file's path below MODEL_DIR/<id> -> its place at this source."""

    @property
    def endpoint(self) -> str:
        """The host, hub or package tool behind it; one that does not answer is not tried again."""
        return self.names[0].split("/")[2] if self.kind is Kind.URL else self.kind

    def __str__(self) -> str:
        return f"{self.kind} {', '.join(self.names)}"


@dataclass(frozen=True)
class Entry:
    """The weights of a model, or a set of recordings, in MODEL_DIR/<id>."""

    id: str
    licence: str
    page: str
    """The web page about these files, from which a person can download them."""
    files: Mapping[str, tuple[Blob, ...]]
    """Path below MODEL_DIR/<id> -> the accepted contents, the canonical one first."""
    sources: tuple[Source, ...]
    custom_if_changed: tuple[str, ...] = ()
    """If these files exist and one has another size, the folder holds a checkpoint of the operator's own."""

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(blobs[0].size for blobs in self.files.values())


def load() -> Mapping[str, Entry]:
    """Return every entry by its id; raises `FetchError` for a malformed file."""
    files = [_SHARED, *(family.folder / _OF_A_FAMILY for family in families())]
    entries: dict[str, Entry] = {}
    for path in files:
        try:
            entries |= read(path) if path.exists() else {}
        except (ValueError, KeyError, TypeError) as error:
            raise FetchError(f"{path} is malformed: {type(error).__name__}: {error}") from error
    return entries


def families() -> Sequence[Family]:
    """Return the model families, those of EXTRA_FAMILIES too."""
    return _families(EXTRA_FAMILIES.read(inherited()))


@cache
def _families(extra: str) -> Sequence[Family]:
    return load_all({EXTRA_FAMILIES.name: extra})


@cache
def read(path: Path) -> Mapping[str, Entry]:
    """Return the entries of one file by their ids; raises `ValueError`, `KeyError` or `TypeError`."""
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    return {id_: _entry(id_, **fields) for id_, fields in data.items()}


def _entry(
    id_: str,
    *,
    licence: str,
    page: str,
    files: Mapping[str, Any],
    sources: Sequence[Mapping[str, Any]],
    custom_if_changed: Sequence[str] = (),
) -> Entry:
    for path in files:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise ValueError(f"{id_}: {path!r} leaves the model's folder")
    canonical = {path: Blob(**fields) for path, fields in files.items()}
    parsed = tuple(_source(canonical, **fields) for fields in sources)
    served = {path: [each.locations[path].blob for each in parsed if path in each.locations] for path in canonical}
    contents = {path: tuple(dict.fromkeys((blob, *served[path]))) for path, blob in canonical.items()}
    return Entry(id_, licence, page, contents, parsed, tuple(custom_if_changed))


def _source(
    files: Mapping[str, Blob], *, paths: Mapping[str, Any] | None = None, download: int = 0, **origin: Any
) -> Source:
    ((key, names),) = origin.items()
    kind = Kind(key)
    locations: dict[str, Location] = {}
    for path, place in (paths or {name: name for name in files}).items():
        if path.endswith("/"):  # a file's own path takes precedence over its folder's, in any order
            folder = {name: place + name.removeprefix(path) for name in files if name.startswith(path)}
            locations = {name: Location((inside,), files[name]) for name, inside in folder.items()} | locations
        elif isinstance(place, dict):
            locations[path] = Location((place["path"],), Blob(place["sha256"], place["size"]))
        else:
            locations[path] = Location((place,) if isinstance(place, str) else tuple(place), files[path])
    if unknown := locations.keys() - files.keys():
        raise ValueError(f"{kind} {names}: no such files: {sorted(unknown)}")
    return Source(kind, (names,) if isinstance(names, str) else tuple(names), download, locations)
