"""The types of settings, and fields of settings that other processes read too."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from tritone.settings import Setting


def _split(value: Any) -> Any:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _pairs(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pairs = [word.partition("=") for word in _split(value)]
    if not all(name.strip() and given.strip() for name, _, given in pairs):
        raise ValueError("write `name=value`, separated by commas")
    return {name.strip(): given.strip() for name, _, given in pairs}


def shared(setting: Setting[Any], **limits: Any) -> Any:
    """Return the field of a setting that is declared in tritone/settings.py."""
    return Field(default=setting.default, description=setting.description, **limits)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Ports = Annotated[dict[str, Annotated[int, Field(ge=1, le=65535)]], NoDecode, BeforeValidator(_pairs)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
