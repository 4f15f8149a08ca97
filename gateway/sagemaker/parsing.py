"""The typed form of fields whose kind a route finds out itself, with the errors of routes that declare it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

Body = TypeVar("Body", bound=BaseModel)


def parsed(kind: type[Body], fields: Mapping[str, Any]) -> Body:
    """Return the body of `fields`. Raises `RequestValidationError`."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in error.errors()]) from None
