"""`POST /v1/audio/diarization`: who speaks when, in the shapes of LocalAI and of speaches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Form, Request, Response, UploadFile
from pydantic import BaseModel, Field, ValidationInfo, field_validator

from gateway.audio.decoding import AudioFile
from gateway.core.errors import ModelNotFound, ModelUnavailable
from gateway.core.known_speakers import encode_known_speakers
from gateway.core.services import Services
from gateway.core.speaker_recognition import MODEL, SAME_SPEAKER
from gateway.core.speaker_turns import SpeakerTurns, TurnOptions, find_speaker_turns
from gateway.core.workers import run_in
from gateway.forms import FORM
from gateway.openai.response_headers import ignored_header
from gateway.openai.transcription.form_reader import FormRoute
from gateway.openai.transcription.requests import MOST_SPEAKERS, MOST_VOICES, Words, list_field, not_below_the_least
from gateway.request_context import GatewayServices, Telemetry, until_disconnect
from tritone.contract import LISTEN_RATE

_MODELS: Final = re.compile(rf"{MODEL}|diari|pyannote|wespeaker.*resnet34", re.IGNORECASE)
_TEXT: Final = "Has no effect here: `/v1/audio/transcriptions` has the words, with response_format diarized_json."


class DiarizationForm(BaseModel):
    """The fields of `/v1/audio/diarization`."""

    file: UploadFile = Field(description="The recording, in any common audio or video container.")
    model: str = Field(MODEL, description="`speaker-embedding`; names of other diarization models stand for it.")
    num_speakers: int = Field(0, ge=0, le=MOST_VOICES, description="So many speakers, if known; 0: found out.")
    min_speakers: int = Field(0, ge=0, le=MOST_VOICES, description="At least so many speakers.")
    max_speakers: int = Field(0, ge=0, le=MOST_VOICES, description="At most so many speakers; 0: any number.")
    clustering_threshold: float = Field(
        SAME_SPEAKER, gt=0, le=2, description="The largest cosine distance of one speaker, where the number is not set."
    )
    min_duration_on: float = Field(0.3, ge=0, le=3600, description="Shorter segments are left out, in seconds.")
    min_duration_off: float = Field(0.5, ge=0, le=3600, description="A shorter silence ends no segment, in seconds.")
    response_format: Literal["json", "verbose_json", "rttm"] = "json"
    known_speaker_names: list[Words] = list_field(
        "known_speaker_names", "Names for the voices of `known_speaker_references`.", MOST_SPEAKERS
    )
    known_speaker_references: list[str] = list_field(
        "known_speaker_references", "A recording of each, 2-10 s, as a data URL in base64.", MOST_SPEAKERS
    )
    include_text: bool = Field(False, description=_TEXT)
    language: str = Field("", description=_TEXT)

    @field_validator("max_speakers")
    @classmethod
    def _not_below_the_least(cls, most: int, info: ValidationInfo) -> int:
        return not_below_the_least(most, info)

    def options(self) -> TurnOptions:
        """Return the options of the use case."""
        return TurnOptions(
            self.num_speakers or self.min_speakers or None,
            self.num_speakers or self.max_speakers or None,
            self.clustering_threshold,
            self.min_duration_on,
            self.min_duration_off,
        )

    @property
    def fields_without_effect(self) -> list[str]:
        """The names of the sent fields that have no effect here."""
        return ["include_text"] * self.include_text + ["language"] * bool(self.language)


class DiarizedSegment(BaseModel):
    """A stretch of speech of one speaker, in seconds."""

    id: int
    speaker: str
    """`SPEAKER_00`, `SPEAKER_01`... in the order in which they begin to speak; or the name of a known one."""
    label: str
    """The speaker's number."""
    start: float
    end: float


class DiarizedSpeaker(BaseModel):
    """All that one speaker said."""

    id: str
    label: str
    total_speech_duration: float
    segment_count: int


class Diarization(BaseModel):
    """Who speaks when."""

    task: Literal["diarize"] = "diarize"
    duration: float
    num_speakers: int
    segments: list[DiarizedSegment]
    speakers: list[DiarizedSpeaker] | None = None
    """In verbose_json."""

    @classmethod
    def of(cls, found: SpeakerTurns, seconds: float, *, verbose: bool) -> Diarization:
        """Return the turns of a recording of so many seconds."""
        segments = [
            DiarizedSegment(
                id=index,
                speaker=found.names.get(turn.speaker, f"SPEAKER_{turn.speaker:02}"),
                label=str(turn.speaker),
                start=round(turn.start, 3),
                end=round(turn.end, 3),
            )
            for index, turn in enumerate(found.turns)
        ]
        speakers = _speakers(segments)
        return cls(
            duration=round(seconds, 3),
            num_speakers=len(speakers),
            segments=segments,
            speakers=speakers if verbose else None,
        )

    def rttm(self, name: str) -> str:
        """Return the segments in NIST's format, one a line; `name` is the recording's."""
        fields = (
            (name, 1, f"{each.start:.3f}", f"{each.end - each.start:.3f}", "<NA>", "<NA>", _word(each.speaker))
            for each in self.segments
        )
        return "".join(f"SPEAKER {' '.join(map(str, each))} <NA> <NA>\n" for each in fields)


router = APIRouter(tags=["speakers"], route_class=FormRoute)


@router.post(
    "/v1/audio/diarization",
    response_model=Diarization,
    response_model_exclude_none=True,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def diarization(
    request: Request,
    form: Annotated[DiarizationForm, Form(media_type=FORM)],
    services: GatewayServices,
    telemetry: Telemetry,
) -> Response:
    """Return who speaks when in `file`, without the words."""
    if not _MODELS.search(form.model):
        raise ModelNotFound(f"no diarization model {form.model[:64]!r} is served; choose {MODEL}")
    audio = AudioFile(form.file.file, LISTEN_RATE, services.settings.max_audio_seconds, "file")
    try:
        found = await until_disconnect(request, _found(services, form, audio))
    finally:
        audio.stop()
        telemetry.audio_seconds = audio.seconds
    result = Diarization.of(found, audio.seconds, verbose=form.response_format == "verbose_json")
    headers = ignored_header(form.fields_without_effect)
    if form.response_format == "rttm":
        name = _word(PurePath(form.file.filename or "").stem) or "audio"
        return Response(result.rttm(name), media_type="text/plain", headers=headers)
    return Response(result.model_dump_json(exclude_none=True), media_type="application/json", headers=headers)


async def _found(services: Services, form: DiarizationForm, audio: AudioFile) -> SpeakerTurns:
    names, references, encoder = form.known_speaker_names, form.known_speaker_references, services.speaker_encoder
    if encoder.missing:
        raise ModelUnavailable(encoder.missing)
    known = await run_in(services.workers.voices, encode_known_speakers, names, references, encoder)
    return await find_speaker_turns(services, audio, form.options(), known)


def _speakers(segments: Sequence[DiarizedSegment]) -> list[DiarizedSpeaker]:
    speakers = dict.fromkeys((each.speaker, each.label) for each in segments)
    return [
        DiarizedSpeaker(
            id=speaker,
            label=label,
            total_speech_duration=round(sum(each.end - each.start for each in segments if each.label == label), 3),
            segment_count=sum(each.label == label for each in segments),
        )
        for speaker, label in speakers
    ]


def _word(name: str) -> str:
    """Return a name as one field of RTTM."""
    return "_".join(name.split())
