"""The fields of a speech request's body that are options of the models, made from their declaration in the contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, Field, WithJsonSchema, create_model

from tritone.contract import SpeechOptions
from tritone.errors import InvalidInput
from tritone.languages import is_auto
from tritone.options import Value

_OWN: Final = frozenset({"voice", "speed", "voice_key", "word_timestamps", "describe"})
"""Options that are no field of the body, or one that OpenAI declares in another way."""
_ALIASES: Final = {"x_vector_only": AliasChoices("x_vector_only", "x_vector_only_mode")}
"""Other names of options, which other servers' clients send."""
_MAX_CHARS: Final = 4096
_MAX_CHARS_OF: Final = {"language": 64}


def _utf8(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("the text holds half of a surrogate pair, which is no character") from None
    return value


Text = Annotated[str, AfterValidator(_utf8)]
"""Text that UTF-8 can encode; JSON can spell text that it cannot."""


def is_blank(value: Any) -> bool:
    """Return whether a field counts as absent: null, or text without a letter."""
    return value is None or (isinstance(value, str) and not value.strip())


def _none_if_blank(value: Any) -> Any:
    return None if is_blank(value) else value


OptionalText = Annotated[Text | None, BeforeValidator(_none_if_blank)]
"""Text that clients may leave empty instead of out."""
_JSON_SCHEMA: Final = {
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": "number"}},
        {"type": "array", "items": {"type": "number"}},
        {"type": "string", "description": "The text of one of these."},
        {"type": "null"},
    ]
}
_Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""The integers that a request to Triton can carry; the contract limits them further."""
_TYPES: Final[Mapping[type, Any]] = {str: OptionalText, bool: bool | None, int: _Int64 | None, float: float | None}


def _json_field(to_json: Callable[[Any], str]) -> Any:
    """Return the type of an option that is a JSON text: the body may hold the list or object itself."""

    def text(value: Any) -> Any:
        try:
            return None if value is None else to_json(value)
        except InvalidInput as error:
            raise ValueError(error.problem) from None

    return Annotated[str | None, BeforeValidator(text), BeforeValidator(_none_if_blank), WithJsonSchema(_JSON_SCHEMA)]


def with_option_fields(name: str, base: type[BaseModel]) -> type[BaseModel]:
    """Return a subclass of `base` with a field for each option; a field is None where the request lacks it."""
    fields: dict[str, Any] = {}
    types = SpeechOptions.types()
    for option in dataclasses.fields(SpeechOptions):
        if option.name in _OWN:
            continue
        unit, to_json = option.metadata["unit"], option.metadata["to_json"]
        fields[option.name] = (
            _json_field(to_json) if to_json else _TYPES[types[option.name]],
            Field(
                None,
                max_length=_MAX_CHARS_OF.get(option.name, _MAX_CHARS) if types[option.name] is str else None,
                validation_alias=_ALIASES.get(option.name),
                description=option.metadata["doc"] + (f" [{unit}]" if unit else ""),
            ),
        )
    return create_model(name, __base__=base, **fields)


def given_options(body: BaseModel, **instead: Any) -> dict[str, Value]:
    """Return the options of a body made by `with_option_fields` that differ from their defaults.

    `instead` holds values in place of those of the body.
    """
    default = SpeechOptions()
    sent = {name: getattr(body, name) for name in SpeechOptions.types() if name not in _OWN} | instead
    if is_auto(sent["language"]):
        sent["language"] = None
    return {name: value for name, value in sent.items() if value not in (None, getattr(default, name))}
