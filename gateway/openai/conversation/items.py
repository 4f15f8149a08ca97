"""The items of a conversation: messages, and the calls of functions with their results."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator, model_validator

from gateway.openai.addresses import ADDRESS_PROBLEM, is_passed_on
from gateway.openai.realtime.protocol import new_id
from tritone.errors import InvalidInput

Status = Literal["completed", "incomplete", "in_progress"]

_PARTS: Final = {
    "user": ("input_text", "input_audio", "input_image"),
    "system": ("input_text",),
    "assistant": ("output_text", "output_audio"),
}
_MOST_ID_CHARS: Final = 128


class Part(BaseModel):
    """A part of a message."""

    type: Literal["input_text", "input_audio", "input_image", "output_text", "output_audio"]
    text: str | None = None
    transcript: str | None = None
    audio: str | None = Field(default=None, exclude=True)
    """Base64; it is not kept."""
    image_url: str | None = None
    """A data URL, or an address from which the language model's server fetches the image."""
    detail: Literal["auto", "low", "high"] | None = None

    @field_validator("image_url")
    @classmethod
    def _is_passed_on(cls, url: str | None) -> str | None:
        if url is not None and not is_passed_on(url):
            raise ValueError(ADDRESS_PROBLEM)
        return url

    @property
    def written(self) -> str:
        """The part as text; empty for an image."""
        return self.text or self.transcript or ""


class _Item(BaseModel):
    id: str = Field(default="", max_length=_MOST_ID_CHARS)
    object: Literal["realtime.item"] = "realtime.item"
    status: Status = "completed"

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given

    def fields(self) -> dict[str, Any]:
        """Return it as clients see it."""
        return self.model_dump(exclude_none=True)


class Message(_Item):
    """A message of the user, of the assistant, or to the language model."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system"]
    content: list[Part] = Field(max_length=64)

    @model_validator(mode="after")
    def _parts_of_its_role(self) -> Message:
        for index, part in enumerate(self.content):
            if part.type not in _PARTS[self.role]:
                raise ValueError(f"content.{index}.type: a message of {self.role} has {' or '.join(_PARTS[self.role])}")
        return self

    def fields(self) -> dict[str, Any]:
        """Return it as clients see it; a transcript that is not known is null."""
        fields = super().fields()
        for part in fields["content"]:
            if part["type"] == "input_audio":
                part.setdefault("transcript", None)
        return fields


class FunctionCall(_Item):
    """A call of a function by the language model."""

    type: Literal["function_call"] = "function_call"
    call_id: str = ""
    name: str
    arguments: str


class FunctionCallOutput(_Item):
    """The result of a call."""

    type: Literal["function_call_output"] = "function_call_output"
    call_id: str
    output: str


Item = Message | FunctionCall | FunctionCallOutput
_ITEM: Final[TypeAdapter[Item]] = TypeAdapter(Annotated[Item, Field(discriminator="type")])
_TYPES: Final = ("message", "function_call", "function_call_output")


def item_of(given: Any, name: str) -> Item:
    """Return the item that the client calls `name`, with an id. Raises `InvalidInput`."""
    if not isinstance(given, dict):
        raise InvalidInput(name, "it is not an object")
    if given.get("type") not in _TYPES:
        raise InvalidInput(f"{name}.type", f"{str(given.get('type'))[:100]!r}; choose from: {', '.join(_TYPES)}")
    try:
        item = _ITEM.validate_python(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = [name, *map(str, first["loc"][1:])]  # it begins with the type
        raise InvalidInput(".".join(path), first["msg"].removeprefix("Value error, ")) from None
    item.id = item.id or new_id("item")
    item.status = "completed"
    return item
