"""What the language model is told before a prompt, from a file that operators may edit."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from gateway.core.errors import InternalError
from tritone.errors import InvalidInput

BUILT_IN: Final = Path(__file__).with_name("assistant.toml")

_MOST_NAME_CHARS: Final = 200

logger = logging.getLogger(__name__)


class AssistantTemplates(BaseModel):
    """The texts of a file as `assistant.toml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    system: str
    categories: dict[str, str]
    writing_styles: dict[str, str]

    @field_validator("categories", "writing_styles")
    @classmethod
    def _with_default(cls, texts: dict[str, str]) -> dict[str, str]:
        if "default" not in texts:
            raise ValueError("`default` is missing")
        return {name.casefold(): text for name, text in texts.items()}

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Return the templates of a file, by default the built-in ones. Raises `InternalError`, which is logged."""
        path = path or BUILT_IN
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            reason = error.errors()[0] if isinstance(error, ValidationError) else error
            logger.error("ASSISTANT_TEMPLATES: %s cannot be used: %s", path, reason)
            raise InternalError(str(reason)) from error

    def system_message(self, category: str, writing_style: str) -> str:
        """Return the message for a category and a style; empty: the default ones. Raises `InvalidInput`."""
        message = self.system
        for field, texts, name in (
            ("category", self.categories, category),
            ("writing_style", self.writing_styles, writing_style),
        ):
            message = message.replace(f"{{{field}}}", _text_of(field, texts, name.strip()))
        return message.strip()


def _text_of(field: str, texts: Mapping[str, str], name: str) -> str:
    text = texts.get(name.casefold() or "default")
    if text is not None:
        return text
    if "other" not in texts:
        known = ", ".join(known for known in texts if known != "default")
        raise InvalidInput(field, f"{name[:_MOST_NAME_CHARS]!r} is unknown; choose from: {known}")
    if len(name) > _MOST_NAME_CHARS:
        raise InvalidInput(field, f"{len(name)} characters; at most {_MOST_NAME_CHARS} are allowed")
    return texts["other"].replace("{name}", name)
