"""The use case `transcribe`: a recording of any length in, the transcripts of its windows out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Container, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from gateway.audio.decoding import AudioFile
from gateway.core.chinese import Script, config_of
from gateway.core.diarization import Speakers
from gateway.core.known_speakers import encode_known_speakers
from gateway.core.partial_text import PartialTexts
from gateway.core.recording_place import RecordingPlace
from gateway.core.services import Services
from gateway.core.speaker_turns import TurnOptions
from gateway.core.speech_pieces import speech_in
from gateway.core.telemetry import WorkTelemetry
from gateway.core.transcription_result import TranscriptionResult
from gateway.core.window_client import WindowClient
from gateway.core.workers import run_in
from tritone.contract import LISTEN_RATE, WINDOW_SECONDS, TranscriptionOptions
from tritone.descriptions import TranscriptionDescription
from tritone.errors import InvalidInput
from tritone.languages import is_auto
from tritone.served import ServedModel
from tritone.transcribe_windows import IN_FLIGHT, TranscribeWindow, WindowTranscript, iter_windows, transcribe_windows
from tritone.transcript import Transcript
from tritone.windowing import DEFAULT_VAD, VadOptions, Window

_NEEDED: Final = ("task", "word_timestamps")
"""Options without which a request makes no sense; a model that lacks one rejects it. Others have no effect there.

`TranscriptionRequest.optional` names exceptions.
"""

_DISPENSABLE: Final = frozenset({"clip", "draft"})
"""Options that only save time; a model gets them if it says that it knows them."""


@dataclass(frozen=True)
class TranscriptionRequest:
    """The parameters of one recording."""

    model: str | None
    """A transcription model's id or alias; None: the default one."""
    options: TranscriptionOptions
    """`prompt` is the text before the recording."""
    vad: VadOptions = DEFAULT_VAD
    condition_on_previous_text: bool = False
    """Transcribe each window with the text before it as its prompt, one window after the other."""
    diarize: bool = False
    """Assign each word to a speaker; needs `word_timestamps`."""
    least_speakers: int | None = None
    most_speakers: int | None = None
    """The number of speakers, as far as it is known."""
    known_speaker_names: tuple[str, ...] = ()
    known_speaker_references: tuple[str, ...] = ()
    """A recording of each known speaker, as a data URL."""
    window_seconds: int | None = None
    """The longest window that the recording is cut into, 1 or more; at most the model's, which None stands for."""
    optional: tuple[str, ...] = ()
    """Options that the request can do without, for example the words of subtitles, which also come from segments."""
    script: Script | None = None
    """The script of Chinese text; None: as the model writes it."""
    background: bool = False
    """Let every window wait behind those of other recordings, the first one too."""


@dataclass
class TranscriptionStream:
    """A recording that is being transcribed. Read `windows` to its end, or close it; `result` fills meanwhile."""

    model: str
    """The id of the model."""
    ignored: tuple[str, ...]
    """The options of the request that have no effect with this model."""
    windows: AsyncGenerator[WindowTranscript]
    """The transcripts of the windows in order, each as soon as it is known. Closing it cancels the work in Triton.

    Their speakers are those that the speech so far tells; at the end those of `result` are found anew, from all of it.
    """
    result: TranscriptionResult
    partial: PartialTexts | None = None
    """The text of the windows before they are complete, if the request has `partial_text` and the model too."""

    def pieces(self) -> AsyncGenerator[WindowTranscript | str]:
        """Yield the windows, and before each the text of it that is decoded so far, where that is known."""
        return self.partial.beside(self.windows) if self.partial else _whole(self.windows)

    async def read_all(self) -> TranscriptionResult:
        """Return the result after the last window."""
        async for _ in self.windows:
            pass
        return self.result


@dataclass(frozen=True)
class SupportedOptions:
    """The options of a request that a model supports, and the names of those that it does not."""

    options: TranscriptionOptions
    supported: frozenset[str]
    """All options that the model supports."""
    ignored: tuple[str, ...]

    @classmethod
    def of(cls, model: ServedModel, options: TranscriptionOptions, optional: Container[str] = ()) -> SupportedOptions:
        """Divide `options`. Raises `InvalidInput` for an unknown language, and for an option that cannot be left out.

        `optional`: those that can, and are not reported.
        """
        described = model.description
        if not isinstance(described, TranscriptionDescription):
            known = frozenset(options.types()) - _DISPENSABLE
            return cls(replace(options, partial_text=False), known, ())
        _check_language(model.id, options.language, described)
        if options.task not in described.tasks:
            raise InvalidInput("task", f"{model.id} does not {options.task}; it does: {', '.join(described.tasks)}")
        given = options.to_parameters()
        if len(described.languages) == 1:
            given.pop("language", None)  # it is the model's only one
        if "temperature" not in described.options and not options.temperature:
            given.pop("temperature", None)  # it asks for the most probable text, as such a model gives
        missing = [name for name in given if name not in described.options]
        for name in missing:
            if name in _NEEDED and name not in optional:
                raise InvalidInput(name, f"{model.id} does not support the option {name}")
        defaults = {name: getattr(TranscriptionOptions(), name) for name in missing}
        ignored = tuple(name for name in missing if name not in optional)
        return cls(replace(options, **defaults), frozenset(described.options), ignored)


async def transcribe(
    services: Services,
    file: BinaryIO,
    request: TranscriptionRequest,
    telemetry: WorkTelemetry,
    *,
    done: Sequence[WindowTranscript] = (),
    record: Callable[[WindowTranscript], None] = lambda transcript: None,
) -> TranscriptionStream:
    """Prepare the transcription of a recording; the work begins when the windows are read.

    `file` must be seekable and stay open until then. `record` gets each transcript before its speakers are assigned; a
    later call with these as `done` continues after them, and its result includes them.

    Raises `ModelNotFound`, `ModelUnavailable` and `InvalidInput`, and so does reading, with `PayloadTooLarge` for a
    recording over MAX_AUDIO_SECONDS; `audio` names the recording.
    """
    model = services.triton.served.resolve(request.model, "transcription")
    telemetry.model = model.id
    supported = SupportedOptions.of(model, request.options, request.optional)
    ignored = supported.ignored
    if request.condition_on_previous_text and "prompt" not in supported.supported:
        ignored += ("condition_on_previous_text",)
    await services.detectors.load()
    audio = AudioFile(file, LISTEN_RATE, services.settings.max_audio_seconds, "audio")
    result = TranscriptionResult("translate" if request.options.task == "translate" else "transcribe")
    if isinstance(model.description, TranscriptionDescription):
        result.audio_token_rate = model.description.audio_token_rate
    speakers = await _speakers(services, request)
    client = WindowClient(
        services.triton,
        model.id,
        supported.options,
        supported.supported,
        telemetry.request_id,
        services.settings.request_timeout,
        config_of(request.script, services.settings.s2t_config),
    )
    conditioned = request.condition_on_previous_text and "prompt" in supported.supported
    partial = PartialTexts() if supported.options.partial_text else None
    transcribe_one = _window_transcriber(client, result, partial, conditioned=conditioned)
    hear = _listener(services, speakers) if speakers else None
    if hear:
        transcribe_one = _heard(transcribe_one, hear)
    cuts = iter_windows(
        audio.clean_blocks(),
        services.detectors.new(),
        request.vad,
        window_seconds=_window_seconds(model, request.window_seconds),
        stop=audio.stop,
        threads=services.workers.decoding,
    )
    place = RecordingPlace(services, telemetry.caller, model.id)
    transcripts = transcribe_windows(
        _after(done[-1].start, cuts, hear) if done else cuts,
        place.before(transcribe_one),
        supported.options.language,
        in_flight=1 if conditioned else IN_FLIGHT,
        done=done,
        background=request.background,
    )
    result.windows.extend(done)
    transcribed = _Transcribed(services, telemetry, audio, done)
    windows = _collected(transcripts, transcribed, result, speakers, telemetry, services=services, record=record)
    return TranscriptionStream(model.id, ignored, place.kept(windows), result, partial)


def _window_transcriber(
    client: WindowClient, result: TranscriptionResult, partial: PartialTexts | None, *, conditioned: bool
) -> TranscribeWindow:
    """Return the function that transcribes one window, if `conditioned` with the text before it as its prompt."""
    before = client.options.prompt

    async def transcribe_window(window: Window, language: str, background: bool) -> Transcript:
        prompt = before + result.next_prompt() if conditioned else before
        on_text = partial.begin(window.start_seconds) if partial else None
        return await client.transcribe(window, language, prompt, background=background, on_text=on_text)

    return transcribe_window


Hear = Callable[[Window], Awaitable[None]]
"""Finds the speech in a window and its voices."""


def _listener(services: Services, speakers: Speakers) -> Hear:
    """Return the function that lets `speakers` hear a window."""

    async def hear(window: Window) -> None:
        speakers.hear(window.start_seconds, await speech_in(services, window))

    return hear


def _heard(transcribe_one: TranscribeWindow, hear: Hear) -> TranscribeWindow:
    """Return a function that also finds the voices in a window with words."""

    async def transcribe_window(window: Window, language: str, background: bool) -> Transcript:
        transcript = await transcribe_one(window, language, background)
        if transcript.segments:
            await hear(window)
        return transcript

    return transcribe_window


async def _after(start: float, windows: AsyncGenerator[Window], hear: Hear | None) -> AsyncGenerator[Window]:
    """Yield the windows that begin later than `start` seconds, and `hear` those before: their voices were not kept."""
    async with aclosing(windows):
        async for window in windows:
            if window.start_seconds > start:
                yield window
            elif hear:
                await hear(window)


class _Transcribed:
    """The audio of a recording that was transcribed in this call; its client's usage."""

    def __init__(
        self, services: Services, telemetry: WorkTelemetry, audio: AudioFile, done: Sequence[WindowTranscript]
    ) -> None:
        self._services = services
        self._telemetry = telemetry
        self._audio = audio
        self._is_first = not done
        self._from = self._to = done[-1].start + done[-1].seconds if done else 0.0
        self._began = False

    @property
    def seconds(self) -> float:
        """Seconds of the recording that were read so far."""
        return self._audio.seconds

    def add(self, transcript: WindowTranscript) -> None:
        """Note that the recording is transcribed to the end of a window."""
        self._began = True
        self._to = transcript.start + transcript.seconds

    def finish(self) -> None:
        """Note that it is transcribed to its end."""
        self._began = True
        self._to = self.seconds

    def count(self) -> None:
        """Count the usage."""
        if self._began:
            requests = int(self._is_first)
            self._services.usage.add("transcription", self._telemetry, self._to - self._from, requests=requests)


async def _collected(
    transcripts: AsyncGenerator[WindowTranscript],
    audio: _Transcribed,
    result: TranscriptionResult,
    speakers: Speakers | None,
    telemetry: WorkTelemetry,
    *,
    services: Services,
    record: Callable[[WindowTranscript], None],
) -> AsyncGenerator[WindowTranscript]:
    """Yield `transcripts`, with their speakers, and collect them in `result`."""
    try:
        async with aclosing(transcripts):
            async for transcript in transcripts:
                record(transcript)
                result.windows.append(transcript)
                telemetry.audio_seconds = audio.seconds
                audio.add(transcript)
                yield speakers.assign(transcript) if speakers else transcript
        if speakers:
            result.windows[:] = await run_in(services.workers.voices, speakers.assign_all, list(result.windows))
        audio.finish()
    finally:
        result.seconds = telemetry.audio_seconds = audio.seconds
        audio.count()


async def _whole(windows: AsyncGenerator[WindowTranscript]) -> AsyncGenerator[WindowTranscript | str]:
    async with aclosing(windows):
        async for window in windows:
            yield window


async def _speakers(services: Services, request: TranscriptionRequest) -> Speakers | None:
    """Return the known speakers; None if the request does not ask for speakers."""
    if not request.diarize:
        return None
    if problem := services.speaker_encoder.missing:
        raise InvalidInput("diarize", f"speakers cannot be distinguished here: {problem}")
    names, references = request.known_speaker_names, request.known_speaker_references
    encoder = services.speaker_encoder
    known = await run_in(services.workers.voices, encode_known_speakers, names, references, encoder)
    return Speakers(known, TurnOptions(request.least_speakers, request.most_speakers))


def _window_seconds(model: ServedModel, wanted: int | None) -> int:
    """Return the length of the longest window."""
    described = model.description
    most = described.window_seconds if isinstance(described, TranscriptionDescription) else WINDOW_SECONDS
    if wanted is None:
        return most
    if wanted < 1:
        raise InvalidInput("window_seconds", f"{wanted} is out of range; choose 1 or more")
    return min(wanted, most)


def _check_language(model: str, language: str, described: TranscriptionDescription) -> None:
    if is_auto(language) or not described.languages:
        return
    unknown = [code for code in language.split(",") if code not in described.languages]
    if unknown:
        known = ", ".join(described.languages)
        raise InvalidInput("language", f"{model} does not transcribe {', '.join(unknown)}; choose from: {known}")
