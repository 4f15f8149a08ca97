"""The requests of the Zonos service: JSON objects or forms over HTTP, and JSON objects as messages of a queue."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Final, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.datastructures import UploadFile

from gateway import untrusted_json
from gateway.audio.inline import from_base64, from_data_url, is_data_url
from gateway.core.assistant import AssistantRequest
from gateway.core.errors import PayloadTooLarge
from gateway.errors import BadRequest, UnsupportedMedia
from gateway.forms import FORM, read_form
from gateway.openai.speech.option_fields import OptionalText, Text
from gateway.openai.speech.protocol import SpeechBody
from gateway.request_context import services_of
from gateway.zonos.protocol import FIELD_NAMES

_JSON: Final = "application/json"
_FORMS: Final = (FORM, "application/x-www-form-urlencoded")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def _job_id(value: str | None) -> str | None:
    if value is not None and not _ID.fullmatch(value):
        raise ValueError("send 1 to 128 letters, digits, '.', '_' and '-'")
    return value


class JobBody(BaseModel):
    """The fields that every request has."""

    model_config = ConfigDict(extra="allow", ser_json_bytes="base64")

    job_id: Annotated[str | None, AfterValidator(_job_id)] = Field(
        None,
        validation_alias=AliasChoices("job_id", "request_id"),
        description="An id of the client's own: the same request with it gets the same result. None: a new one.",
    )

    def client_field_name(self, name: str) -> str:
        """Return the field of this body that became the option or field `name` of the use case."""
        return FIELD_NAMES.get(name, name)

    @property
    def digest(self) -> str:
        """A digest of everything that was sent but the id."""
        sent = self.model_dump(mode="json", exclude={"job_id"}, exclude_none=True)
        return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


class RegisterBody(JobBody):
    """A speaker to register."""

    speaker_id: Text = Field(
        validation_alias=AliasChoices("speaker_id", "speaker", "speaker_name", "name"),
        description="The name by which requests call the voice.",
    )
    file: bytes | None = Field(
        None,
        validation_alias=AliasChoices("file", "audio", "audio_file"),
        description="1 to 30 s of clear speech of one speaker: a file of a form, in any container that FFmpeg reads; "
        "in JSON its text in base64, or a data URL.",
    )
    s3_key: OptionalText = Field(
        None,
        validation_alias=AliasChoices("s3_key", "audio_key"),
        description="Of a message alone: the recording's key in the bucket, in place of the file.",
    )
    text: OptionalText = Field(
        None, validation_alias=AliasChoices("text", "ref_text"), description="Its words; None: they are transcribed."
    )
    consent: OptionalText = Field(None, description="The id of the speaker's consent, if VOICES_NEED_CONSENT is set.")

    @field_validator("file", mode="before")
    @classmethod
    def _decoded(cls, file: Any) -> Any:
        if not isinstance(file, str):
            return file
        try:
            return from_data_url(file) if is_data_url(file) else from_base64(file)
        except ValueError:
            raise ValueError("it is neither a file nor base64 nor a data URL") from None


class SpokenBody(SpeechBody, JobBody):
    """The fields of a request for speech: those of `/v1/audio/speech`, some with this service's names."""

    voice: OptionalText = Field(
        None,
        validation_alias=AliasChoices("speaker_id", "speaker", "speaker_name", "voice"),
        description="A registered speaker, or a voice of the model. None: the model's default.",
    )

    @property
    def wants_times(self) -> bool:
        """Always False: this service's responses have no place for times."""
        return False

    @property
    def unknown_fields(self) -> list[str]:
        """The names of the fields that this service does not have."""
        return sorted(
            {*super().unknown_fields, *({"timestamp_granularities", "subtitle_format"} & self.model_fields_set)}
        )

    def client_field_name(self, name: str) -> str:
        """Return the field of this body that became the option or field `name` of the use case."""
        return FIELD_NAMES.get(name, name)


class SynthesizeBody(SpokenBody):
    """A text to speak."""

    input: Text = Field(
        validation_alias=AliasChoices("text", "input"),
        description="The text to speak, at most MAX_INPUT_CHARS characters.",
    )


class AssistantBody(SpokenBody):
    """A prompt to answer."""

    input: Text = Field(validation_alias=AliasChoices("prompt", "input"), description="The prompt.")
    category: OptionalText = Field(
        None, description="A category of ASSISTANT_TEMPLATES; other names are taken as the subject."
    )
    writing_style: OptionalText = Field(
        None,
        validation_alias=AliasChoices("writing_style", "style"),
        description="A style of ASSISTANT_TEMPLATES; other names are taken as they are.",
    )

    def assistant_request(self) -> AssistantRequest:
        """Return the request of the use case."""
        return AssistantRequest(self.input, self.request(), self.category or "", self.writing_style or "")


Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, kind: type[Body]) -> Body:
    """Return the body of a request. Raises `RequestValidationError`, `BadRequest` and `UnsupportedMedia`."""
    sent = request.headers.get("content-type", "none")
    media_type = sent.partition(";")[0].strip().lower()
    if media_type in _FORMS:
        settings = (await services_of(request)).settings
        form = await read_form(request)
        try:
            return checked(kind, {name: await _value(each, settings.max_voice_bytes) for name, each in form.items()})
        finally:
            await form.close()
    if media_type != _JSON:
        raise UnsupportedMedia(f"content type {sent!r} is not supported; send {_JSON} or a form")
    try:
        fields = untrusted_json.parse_object(await request.body())
    except untrusted_json.MalformedJson as error:
        raise BadRequest(f"body: {error}") from None
    return checked(kind, fields)


async def _value(value: UploadFile | str, most: int) -> bytes | str:
    """Return the text of a field, or the content of a file. Raises `PayloadTooLarge`."""
    if isinstance(value, str):
        return value
    if (value.size or 0) > most:
        raise PayloadTooLarge("file", f"it holds {value.size} bytes; at most {most} are allowed (MAX_VOICE_BYTES)")
    return await value.read()


def checked(kind: type[Body], fields: dict[str, Any]) -> Body:
    """Return the fields as a body. Raises `RequestValidationError`."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        problems = [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
        raise RequestValidationError(problems) from None


def body_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """Return the body in OpenAPI's words, for a route that reads it itself."""
    schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {each: {"schema": schema} for each in (_JSON, *_FORMS)}}}
