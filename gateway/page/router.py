"""`/` and `/page/...`: static files, which load nothing from anywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

_FOLDER: Final = Path(__file__).with_name("static")
_INDEX: Final = "index.html"
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    # The browser asks each time, and gets a 304 while the file is the same: the parts of the page fit together.
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "permissions-policy": "microphone=(self)",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_PREFIX: Final = "/page/"
_NAMES: Final = frozenset(str(path.relative_to(_FOLDER)) for path in _FOLDER.rglob("*") if path.is_file())
PATHS: Final = frozenset({"/", *(_PREFIX + name for name in _NAMES)})
"""The paths of the page and its files; none needs an API key."""

_files = StaticFiles(directory=_FOLDER)
router = APIRouter(include_in_schema=False)


@router.get("/", response_class=Response)
async def page(request: Request) -> Response:
    """Return the page; the addresses in it are relative, because a proxy may add a path before them."""
    return await _file(_INDEX, request)


@router.get(_PREFIX + "{name:path}", response_class=Response)
async def asset(name: str, request: Request) -> Response:
    """Return a file of the page."""
    if name not in _NAMES:
        raise HTTPException(404)
    return await _file(name, request)


async def _file(name: str, request: Request) -> Response:
    response = await _files.get_response(name, request.scope)
    response.headers.update(HEADERS)
    return response
