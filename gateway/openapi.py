"""The OpenAPI document: FastAPI's, with the API keys, and with references that resolve."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

_DEFINITIONS: Final = "#/$defs/"
_SCHEMAS: Final = "#/components/schemas/"
_SECURITY_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of API_KEYS."},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}


def error_responses(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return the responses of a surface whose errors have the form `model`."""
    return {
        "4XX": {"model": model, "description": "The request is wrong"},
        "5XX": {"model": model, "description": "The server failed, or is at capacity"},
    }


def document(app: FastAPI, open_paths: Collection[str], *, needs_key: bool) -> dict[str, Any]:
    """Return the document of `app`; all paths but `open_paths` take an API key, and need one if `needs_key`."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    plain = FastAPI.openapi(app)
    definitions: dict[str, Any] = {}
    complete: dict[str, Any] = _hoisted(plain, definitions)
    schemas = definitions | complete.get("components", {}).get("schemas", {})
    complete["components"] = {"schemas": schemas, "securitySchemes": _SECURITY_SCHEMES}
    complete["security"] = [*([] if needs_key else [{}]), *({name: []} for name in _SECURITY_SCHEMES)]
    for path in open_paths & complete["paths"].keys():
        for operation in complete["paths"][path].values():
            operation["security"] = []
    app.openapi_schema = complete
    return complete


def _hoisted(value: Any, schemas: dict[str, Any]) -> Any:
    """Return `value` with the definitions inside its schemas moved to `schemas`."""
    if isinstance(value, list):
        return [_hoisted(item, schemas) for item in value]
    if isinstance(value, str) and value.startswith(_DEFINITIONS):
        return _SCHEMAS + value.removeprefix(_DEFINITIONS)
    if not isinstance(value, dict):
        return value
    for name, schema in value.get("$defs", {}).items():
        schemas.setdefault(name, _hoisted(schema, schemas))
    return {key: _hoisted(item, schemas) for key, item in value.items() if key != "$defs"}
