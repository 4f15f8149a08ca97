"""From a form to the transcription use case, and from there to an HTTP response."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastapi import Request
from fastapi.responses import Response

from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.transcribe import TranscriptionStream, transcribe
from gateway.openai.response_headers import model_headers
from gateway.openai.transcription.requests import RecordingForm
from gateway.openai.transcription.responses import events, whole_response
from gateway.request_context import until_disconnect
from gateway.streaming import EventStream
from tritone.errors import InvalidInput


async def respond(
    services: Services, request: Request, form: RecordingForm, telemetry: WorkTelemetry, sent: Iterable[str]
) -> Response:
    """Return the text of the form's file: events, or one piece at the end. `sent`: the names of the form's fields."""
    # Without repetitions: a list has several fields of one name.
    stream, headers = await _begin(services, form, telemetry, list(dict.fromkeys(sent)))
    with_logprobs = form.wants_logprobs and "logprobs" not in stream.ignored
    if form.stream:
        diarized = form.response_format == "diarized_json"
        with_words = "word" in form.granularities
        content = events(stream, diarized=diarized, with_words=with_words, with_logprobs=with_logprobs)
        response = EventStream(content, headers)
        await until_disconnect(request, response.begin())
        return response
    return await whole_response(
        await until_disconnect(request, stream.read_all()),
        form.response_format,
        headers,
        granularities=form.granularities,
        with_logprobs=with_logprobs,
        usage_in_tokens=form.usage_in_tokens,
    )


async def _begin(
    services: Services, form: RecordingForm, telemetry: WorkTelemetry, sent: Sequence[str]
) -> tuple[TranscriptionStream, dict[str, str]]:
    """Return the prepared transcription of the form's file, and the headers of its response."""
    try:
        if not form.file.size:
            raise InvalidInput("audio", "it is empty")
        stream = await transcribe(services, form.file.file, form.request(), telemetry)
    except InvalidInput as error:
        raise InvalidInput(form.client_field_name(error.field), error.problem) from None
    return stream, model_headers(stream.model, form.fields_without_effect(sent, stream.ignored))
