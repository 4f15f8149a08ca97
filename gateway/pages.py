"""The list of routes to try out, which needs no network. The page at `/` is `gateway.page`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from gateway.surfaces import Surface

_FOLDER: Final = Path(str(files("fastapi_swagger.resources")))
"""The package has Swagger UI's files, which FastAPI's own page loads from the internet."""
_ICON: Final = "favicon-32x32.png"
_MEDIA_TYPES: Final = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", _ICON: "image/png"}
_CACHE: Final = {"cache-control": "max-age=86400"}

router = APIRouter(include_in_schema=False)


@router.get("/docs", response_class=HTMLResponse)
async def docs() -> HTMLResponse:
    """Return the list of routes; its addresses are relative, because a proxy may add a path before them."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Tritone",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="favicon.ico",
        swagger_ui_parameters={"persistAuthorization": True},
    )


@router.get("/favicon.ico", response_class=FileResponse)
async def icon() -> FileResponse:
    """Return the icon of the page."""
    return _file(_ICON)


@router.get("/docs/{name}", response_class=FileResponse)
async def asset(name: Literal["swagger-ui-bundle.js", "swagger-ui.css"]) -> FileResponse:
    """Return a file of Swagger UI."""
    return _file(name)


def _file(name: str) -> FileResponse:
    return FileResponse(_FOLDER / name, media_type=_MEDIA_TYPES[name], headers=_CACHE)


_FILES: Final = {f"/docs/{name}" for name in _MEDIA_TYPES}
SURFACE: Final = Surface(router, open_paths=frozenset({"/docs", "/favicon.ico", "/openapi.json", *_FILES}))
