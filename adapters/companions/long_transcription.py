"""The model `transcription-long`: recordings of any length for direct clients.

It splits a recording into windows and calls a transcription model for each, by the Python backend's calls between
models ("BLS"); so Triton batches them with the windows of other clients. Its only network is the speech detector.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from adapters.companions.document_watch import PARAMETER, POLL_SECONDS, DocumentFile
from adapters.companions.recording import Recording
from adapters.companions.remote_transcriber import TranscribeRemotely, is_ready, transcribe_remotely
from adapters.companions.target_model import choose_model, is_idle
from adapters.triton.errors import shutting_down
from adapters.triton.instance import Instance
from adapters.triton.metrics import Metrics
from tritone import vad
from tritone.errors import DeadlinePassed, Overloaded
from tritone.initialized import mark_initialized
from tritone.transcribe_windows import IN_FLIGHT
from tritone.wanted import want
from tritone.windowing import SpeechDetector

MAX_RECORDINGS: Final = 16
"""Recordings that are open at once; each holds its audio, 230 MB an hour, in shared memory."""
_LOAD_SECONDS: Final = 600.0
"""The longest wait for an idle model."""


def load_detector(model_dir: Path) -> Callable[[], SpeechDetector]:
    """Load the speech detector; the result makes a detector for one recording."""
    session = vad.load(model_dir)
    return lambda: vad.Vad(session)


class TritonPythonModel:
    """Transcribe recordings, each with the model that its option `model` names.

    Its weights are those of the speech detector, MODEL_DIR/silero-vad. The config parameter `document` is the path of
    the served document, which lists the transcription models.
    """

    def __init__(
        self,
        transcribe: TranscribeRemotely = transcribe_remotely,
        is_ready: Callable[[str], bool] = is_ready,
        load_detector: Callable[[Path], Callable[[], SpeechDetector]] = load_detector,
    ) -> None:
        self._transcribe = transcribe
        self._is_ready = is_ready
        self._load_detector = load_detector

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load the detector, and start the event loop that all recordings run in."""
        instance = Instance.from_args(args)
        path = instance.parameters.get(PARAMETER)
        self._path = Path(path) if path else None
        self._document = DocumentFile(self._path) if self._path else None
        self._detector = self._load_detector(instance.model_dir)
        self._metrics = Metrics(instance.model, "companion")
        self._open: set[Future[None]] = set()
        self._loop = asyncio.new_event_loop()
        # A thread for each open call, and for the windowing of each recording.
        self._loop.set_default_executor(ThreadPoolExecutor(MAX_RECORDINGS * (IN_FLIGHT + 1)))
        self._thread = threading.Thread(target=self._loop.run_forever, name="recordings")
        self._thread.start()
        mark_initialized()

    def execute(self, requests: Sequence[Any]) -> None:
        """Begin to transcribe each recording; responses leave through the requests' response senders."""
        for request in requests:
            recording = Recording(request)
            try:
                if len(self._open) >= MAX_RECORDINGS:
                    raise Overloaded(f"at capacity ({MAX_RECORDINGS} recordings); try again")
                recording.read()
                model = self._choose(recording.options.model)
            except Exception as error:
                self._fail(recording, error)
                continue
            future = asyncio.run_coroutine_threadsafe(self._run(recording, model), self._loop)
            self._open.add(future)
            future.add_done_callback(self._open.discard)

    def finalize(self) -> None:
        """End the open recordings with an error, and stop."""
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._metrics.close()

    def _choose(self, name: str) -> str:
        """Return the model that transcribes a recording; the document is of no use before the supervisor wrote it."""
        document = self._document.read() if self._document else None
        return choose_model(name, document if document and document.models else None, self._is_ready)

    async def _wake(self, model: str, recording: Recording) -> None:
        """Have an idle model loaded, and wait for it. Raises `DeadlinePassed`, and `Cancelled` if the client leaves."""
        if self._document is None or self._path is None or not is_idle(model, self._document.read()):
            return
        want(self._path, model)
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                while is_idle(model, self._document.read()):
                    recording.check_wanted()
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise DeadlinePassed(f"{model} was not loaded in {_LOAD_SECONDS:g} s") from None

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _run(self, recording: Recording, model: str) -> None:
        self._metrics.begin()
        seconds = 0.0
        try:
            async with asyncio.timeout(recording.seconds_left()):
                await self._wake(model, recording)
                async with aclosing(recording.transcribe(model, self._detector(), self._transcribe)) as transcripts:
                    async for transcript in transcripts:
                        recording.send(transcript)
                        seconds = transcript.start + transcript.seconds
        except asyncio.CancelledError:
            self._fail(recording, shutting_down())
        except TimeoutError:
            self._fail(recording, _timed_out(seconds))
        except Exception as error:
            is_late = recording.seconds_left() <= 0  # the model ends a window whose time is over, too
            self._fail(recording, _timed_out(seconds) if is_late else error)
        else:
            recording.end()
        finally:
            self._metrics.end()

    def _fail(self, recording: Recording, error: Exception) -> None:
        self._metrics.error(error)
        recording.end(error)


def _timed_out(seconds: float) -> DeadlinePassed:
    return DeadlinePassed(f"the request timed out after {seconds:.0f} s of the recording")
