"""`POST /whisper/transcribe` and `/whisper/transcribe-and-process`, `GET /whisper/health`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import Response

from gateway.core.language_model import Message
from gateway.core.services import Services
from gateway.core.telemetry import WorkTelemetry
from gateway.core.transcribe import TranscriptionRequest, transcribe
from gateway.core.transcription_result import TranscriptionResult
from gateway.forms import MultipartRoute
from gateway.openai.response_headers import model_headers
from gateway.request_context import GatewayServices, Telemetry, until_disconnect
from gateway.whisper.protocol import Health, ProcessedTranscription, Transcription
from tritone import languages
from tritone.contract import TranscriptionOptions
from tritone.errors import InvalidInput

PREFIX: Final = "/whisper"
_MOST_CHARACTERS: Final = 32_768
router = APIRouter(prefix=PREFIX, tags=["whisper"], route_class=MultipartRoute)

Recording = Annotated[UploadFile, File(description="The recording, in any container that FFmpeg reads.")]
Language = Annotated[str, Form(description="Language of the recording, such as `ko`; empty or `auto`: detected.")]


@router.post("/transcribe")
async def transcribe_file(
    *,
    request: Request,
    response: Response,
    services: GatewayServices,
    telemetry: Telemetry,
    file: Recording,
    language: Language = "",
) -> Transcription:
    """Transcribe `file`."""
    work = _transcribed(services, telemetry, file, language, response)
    result = await until_disconnect(request, work)
    return Transcription(text=result.text, language=next(iter(result.language_codes), ""))


@router.post("/transcribe-and-process")
async def transcribe_and_process(
    *,
    request: Request,
    response: Response,
    services: GatewayServices,
    telemetry: Telemetry,
    file: Recording,
    instruction: Annotated[
        str, Form(description="What the language model is to do with the transcript.", max_length=_MOST_CHARACTERS)
    ],
    language: Language = "",
) -> ProcessedTranscription:
    """Transcribe `file`, and let the language model of `LLM_URL` follow `instruction` on the transcript."""
    if not instruction.strip():
        raise InvalidInput("instruction", "it is empty; say what is to be done with the transcript")
    services.language_model.check()

    async def work() -> ProcessedTranscription:
        result = await _transcribed(services, telemetry, file, language, response)
        answer = ""
        if result.text:
            answer = await services.language_model.complete(
                [Message("system", instruction), Message("user", result.text)]
            )
        return ProcessedTranscription(text=result.text, language=next(iter(result.language_codes), ""), result=answer)

    return await until_disconnect(request, work())


@router.get("/health")
async def health(services: GatewayServices) -> Health:
    """Return whether the model is loaded."""
    model = services.triton.served.first(services.settings.whisper_models, "transcription")
    status: Literal["ok", "loading"] = "ok" if model.state in ("ready", "idle") else "loading"
    return Health(status=status, model=model.id, model_loaded=model.state == "ready")


async def _transcribed(
    services: Services, telemetry: WorkTelemetry, file: UploadFile, language: str, response: Response
) -> TranscriptionResult:
    if not file.size:
        raise InvalidInput("audio", "it is empty")
    model = services.triton.served.first(services.settings.whisper_models, "transcription")
    options = TranscriptionOptions(language=_code(language))
    stream = await transcribe(services, file.file, TranscriptionRequest(model.id, options), telemetry)
    response.headers.update(model_headers(stream.model, stream.ignored))
    return await stream.read_all()


def _code(language: str) -> str:
    if languages.is_auto(language):
        return "auto"
    code = languages.code_of(language)
    if code is None:
        raise InvalidInput("language", f"{language!r} is unknown; send an ISO 639 code such as `ko`")
    return code
