"""HTTP surfaces: folders with a router, the paths that need no API key, and the form of errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from gateway.errors import ErrorEnvelope, HttpError, openai_response
from tritone.settings import UnusableSettingError

BUILT_IN: Final = (
    "openai",
    "speech_analysis",
    "health",
    "omni",
    "page",
    "pages",
    "sagemaker",
    "whisper",
    "f5_tts",
    "zonos",
)
"""The surfaces in gateway/; a new one adds its name here. Others: the setting EXTRA_SURFACES."""


@dataclass(frozen=True, eq=False)
class Surface:
    """An HTTP surface, which its package exports as `SURFACE`; equal only to itself."""

    router: APIRouter
    open_paths: frozenset[str] = frozenset()
    """Paths that need no API key."""
    list_paths: frozenset[str] = frozenset()
    """Paths that need no API key for GET if PUBLIC_LISTS is set; one that ends in a slash stands for all below it."""
    secret_paths: frozenset[str] = frozenset()
    """Paths on which a client secret is as good as an API key."""
    upload_paths: frozenset[str] = frozenset()
    """Paths whose routes store any body but JSON and texts on disk while it arrives: it may have MAX_UPLOAD_BYTES."""
    prefix: str = ""
    """Errors on paths that begin with it have this surface's form; all others have OpenAI's."""
    further_paths: frozenset[str] = frozenset()
    """Paths that do not begin with it, whose errors have this surface's form too."""
    exposed_headers: tuple[str, ...] = ()
    """Response headers that scripts in browsers may read (CORS)."""
    error_response: Callable[[HttpError], Response] = openai_response
    error_model: type[BaseModel] = ErrorEnvelope
    """The form of the bodies of `error_response`, for the OpenAPI document."""
    notes: str = ""
    """What the OpenAPI document cannot list, such as WebSockets, in Markdown."""
    field_names: Mapping[str, str] = field(default_factory=dict)
    """The fields of the use cases and models that have another name in this surface's requests -> that name."""


def load_surfaces(extra: Iterable[str]) -> tuple[Surface, ...]:
    """Import the built-in surfaces, then those of EXTRA_SURFACES. Raises `UnusableSettingError` for an unusable one."""
    surfaces = [_surface(f"gateway.{name}") for name in BUILT_IN]
    for name in extra:
        try:
            surfaces.append(_surface(_importable(name)))
        except (ImportError, AttributeError, TypeError) as error:
            raise UnusableSettingError(f"EXTRA_SURFACES: {name!r} is not a surface: {error}") from error
    return tuple(surfaces)


class SurfaceTable:
    """Finds the surface of a path."""

    def __init__(self, surfaces: Iterable[Surface]) -> None:
        surfaces = tuple(surfaces)
        self.open_paths = frozenset().union(*(surface.open_paths for surface in surfaces))
        self.list_paths = frozenset().union(*(surface.list_paths for surface in surfaces))
        self.secret_paths = frozenset().union(*(surface.secret_paths for surface in surfaces))
        self.upload_paths = frozenset().union(*(surface.upload_paths for surface in surfaces))
        self.exposed_headers = tuple(dict.fromkeys(name for surface in surfaces for name in surface.exposed_headers))
        self._by_path = {path: surface for surface in surfaces for path in surface.further_paths}
        self._longest_first = sorted(surfaces, key=lambda surface: -len(surface.prefix))

    def at(self, path: str) -> Surface:
        """Return the surface that names `path`, or has the longest prefix of it; else the first surface without one."""
        return self._by_path.get(path) or next(
            surface for surface in self._longest_first if path.startswith(surface.prefix)
        )


def _surface(name: str) -> Surface:
    surface = import_module(name).SURFACE
    if not isinstance(surface, Surface):
        raise TypeError(f"{name}.SURFACE is a {type(surface).__name__}, not a Surface")
    return surface


def _importable(name: str) -> str:
    """Return the import name of a package or folder; a folder's parent is added to the import path."""
    if "/" not in name:
        return name
    folder = (Path(__file__).parents[1] / Path(name).expanduser()).resolve()
    sys.path.append(str(folder.parent))
    return folder.name
