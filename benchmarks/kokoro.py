"""`scripts/bench kokoro [--rounds N] [--sentences N] [--no-package] [--json FILE]`: Kokoro's faster graph.

Three synthesize the same text in turn, in one run: the published graph with onnxruntime's own settings and one piece of
the text after the other, ours as the model loads and runs it, and the package kokoro-onnx, in an environment of its
own, with the published graph. CPU seconds are those of the process; they depend on the machine's load less than the
time does. Then whisper-base transcribes sentences in five languages that both graphs read, and the distance of their
log-mel spectra is computed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import onnxruntime
from faster_whisper import WhisperModel
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "stand_ins"))  # modules that exist only inside Triton

import triton_python_backend_utils as pb_utils

from adapters.kokoro.graph import with_durations
from adapters.kokoro.model import pieces_at_once
from adapters.kokoro.network import KokoroNetwork
from adapters.kokoro.phonemes import Phonemizer
from adapters.kokoro.pipeline import KokoroPipeline, PhonemePiece
from adapters.kokoro.voices import VoiceStyles
from adapters.speech.engine import PartByPartEngine
from adapters.speech.joins import prepare_join
from adapters.triton.metrics import Metrics
from adapters.triton.response_stream import ResponseStream
from adapters.triton.samples import to_int16
from adapters.triton.speech_request import SpeechRequest
from benchmarks.preparation import prepare
from benchmarks.report import write
from benchmarks.spoken_sentences import SENTENCES, VOICES
from gateway.core.alignment import for_listening
from tests.e2e.server import ROOT
from tests.e2e.words import word_error_rate
from tritone.contract import SPEECH_RATE

RESULTS: Final = ROOT / "benchmarks" / "results"
PACKAGE: Final = "kokoro-onnx==0.6.1"
TEXT: Final = "Good morning. The train to the airport leaves at nine from the north platform."
VOICE: Final = "af_heart"

_PATIENCE: Final = 600
"""Seconds within which the text must be synthesized."""
_BANDS, _WINDOW, _STEP = 80, 1024, 256
_HEARD: Final = 2
"""Sentences of each language that are kept for listening."""

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Timing:
    """One synthesis of a text."""

    first_audio_s: float
    whole_s: float
    cpu_s: float
    audio_s: float

    @property
    def real_time_factor(self) -> float:
        """Seconds for a second of audio."""
        return self.whole_s / self.audio_s

    @property
    def cpu_per_s(self) -> float:
        """CPU seconds for a second of audio."""
        return self.cpu_s / self.audio_s


class AsPublished(KokoroNetwork):
    """The published graph with onnxruntime's own settings."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, threads=len(os.sched_getaffinity(0)), is_fast=False)
        model = (folder / "model.onnx").read_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(with_durations(model) or model, options)


def log_mel_distance(one: Samples, other: Samples) -> float:
    """Return the mean absolute difference in dB of two log-mel spectra (80 bands, 24 kHz) of equally long samples."""
    return float(np.abs(_log_mel(one) - _log_mel(other)).mean())


def _log_mel(samples: Samples) -> NDArray[np.float64]:
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_STEP] * np.hanning(_WINDOW)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mels = np.linspace(0, 2595 * np.log10(1 + SPEECH_RATE / 2 / 700), _BANDS + 2)
    hertz = 700 * (10 ** (mels / 2595) - 1)
    low, middle, high = (hertz[i : i + _BANDS, None] for i in range(3))
    bins = np.linspace(0, SPEECH_RATE / 2, power.shape[1])
    filters = np.clip(np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)), 0, None)
    return np.asarray(10 * np.log10(np.maximum(power @ filters.T, 1e-5)))


class Listener:
    """The client of one request: when its first and its last response came, and how much audio they had."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.has_failed = False
        self.first = self.last = 0.0
        self.samples = 0

    def send(self, response: pb_utils.InferenceResponse, flags: int = 0) -> None:
        """Note the time and the audio of a response."""
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.has_failed = response.has_error()
        self.samples += sum(len(each.as_numpy()) for each in response.output_tensors() if each.name() == "audio")
        if flags == pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL:
            self.ended.set()

    def is_cancelled(self) -> bool:
        """Return that the client has not left."""
        return False


def time_speech(engine: PartByPartEngine[PhonemePiece], metrics: Metrics) -> Timing:
    """Synthesize the text as the model does, and return the timing; raises `RuntimeError` where it fails."""
    listener = Listener()
    started, cpu = time.perf_counter(), time.process_time()
    request = SpeechRequest(text=TEXT, voice=VOICE, language="en", speed=1.0)
    engine.submit(request, ResponseStream(listener, metrics))
    if not listener.ended.wait(_PATIENCE) or listener.has_failed:
        raise RuntimeError("the text was not synthesized")
    first, whole = listener.first - started, listener.last - started
    return Timing(first, whole, time.process_time() - cpu, listener.samples / SPEECH_RATE)


# Run by the Python of the package's environment: a line with a text in, one with a timing out.
_WORKER: Final = """
import json, sys, time
from kokoro_onnx import Kokoro
kokoro = Kokoro(sys.argv[1], sys.argv[2])
for line in sys.stdin:
    started, cpu = time.perf_counter(), time.process_time()
    samples, rate = kokoro.create(json.loads(line), voice=sys.argv[3], lang="en-us")
    whole = time.perf_counter() - started
    print(json.dumps([whole, whole, time.process_time() - cpu, len(samples) / rate]), flush=True)
"""


@contextmanager
def package(checkpoint: Path, folder: Path) -> Iterator[Callable[[], Timing]]:
    """Install kokoro-onnx below `folder`, load the published graph with it, and give a function that times it."""
    python = folder / "package" / "bin" / "python"
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder / "package")], check=True)
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), PACKAGE], check=True)
    voices = folder / "voices.npz"
    np.savez(voices, **{VOICE: np.fromfile(checkpoint / "voices" / f"{VOICE}.bin", np.float32).reshape(-1, 1, 256)})
    command = [str(python), "-c", _WORKER, str(checkpoint / "model.onnx"), str(voices), VOICE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        stdin, stdout = worker.stdin, worker.stdout

        def measure() -> Timing:
            stdin.write(json.dumps(TEXT) + "\n")
            stdin.flush()
            return Timing(*json.loads(stdout.readline()))

        yield measure
        stdin.close()


def compare(contestants: dict[str, Callable[[], Timing]], rounds: int) -> dict[str, Any]:
    """Let each synthesize the text in turn; return its median times, and its ratios to the first in each round."""
    timings: dict[str, list[Timing]] = {name: [] for name in contestants}
    for measure in contestants.values():
        measure()
    for _ in range(rounds):
        for name, measure in contestants.items():
            timings[name].append(measure())
    base = next(iter(timings.values()))
    figures: dict[str, Any] = {}
    for name, runs in timings.items():
        pairs = list(zip(base, runs, strict=True))
        figures[name] = {
            "first_audio_s": _median(run.first_audio_s for run in runs),
            "real_time_factor": _median(run.real_time_factor for run in runs),
            "cpu_s_per_s_of_audio": _median(run.cpu_per_s for run in runs),
            "published_to_this": {
                "first_audio": _median(published.first_audio_s / run.first_audio_s for published, run in pairs),
                "real_time_factor": _median(
                    published.real_time_factor / run.real_time_factor for published, run in pairs
                ),
                "cpu": _median(published.cpu_per_s / run.cpu_per_s for published, run in pairs),
            },
        }
        print(name, figures[name], flush=True)
    return figures


def _median(values: Iterator[float]) -> float:
    return round(statistics.median(values), 3)


def hear(pipelines: dict[str, KokoroPipeline], model: Path, count: int, audio: Path | None) -> dict[str, Any]:
    """Return the word error rate of each graph's sentences, by language, and the distance between the graphs' audio."""
    whisper = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=len(os.sched_getaffinity(0)))
    figures: dict[str, Any] = {"sentences": 0, "wer": {name: {} for name in pipelines}, "log_mel_db": {}}
    texts: dict[str, list[str]] = {name: [] for name in pipelines}
    spoken: list[str] = []
    for language, sentences in SENTENCES.items():
        distances: list[float] = []
        for index, text in enumerate(sentences[:count]):
            voice = VOICES[language][index % len(VOICES[language])]
            request = SpeechRequest(text=text, voice=voice, language=language, speed=1.0)
            pieces = next(iter(pipelines.values())).pieces(request)
            samples = {name: [each.synthesize(piece) for piece in pieces] for name, each in pipelines.items()}
            distances += [log_mel_distance(one, other) for one, other in zip(*samples.values(), strict=True)]
            spoken.append(text)
            for name, parts in samples.items():
                joined = [prepare_join(part, piece.end, 1.0) for part, piece in zip(parts, pieces, strict=True)]
                speech = np.concatenate(joined)
                texts[name].append(_transcript(whisper, speech, language))
                if audio and index < _HEARD:
                    _write_opus(audio / f"{language}-{index + 1}-{name}.opus", speech)
        here = slice(-len(sentences[:count]), None)
        for name, heard in texts.items():
            figures["wer"][name][language] = round(word_error_rate(spoken[here], heard[here]), 4)
        figures["log_mel_db"][language] = round(statistics.mean(distances), 2)
        print(
            language,
            {name: figures["wer"][name][language] for name in texts},
            figures["log_mel_db"][language],
            flush=True,
        )
    for name, heard in texts.items():
        figures["wer"][name]["all"] = round(word_error_rate(spoken, heard), 4)
    before, after = texts.values()
    figures["sentences"] = len(spoken)
    figures["transcripts_that_differ"] = [list(pair) for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    return figures


def _transcript(whisper: WhisperModel, samples: Samples, language: str) -> str:
    segments, _ = whisper.transcribe(for_listening(to_int16(samples), SPEECH_RATE, 1.0), language=language)
    return " ".join(segment.text.strip() for segment in segments)


def _write_opus(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=SPEECH_RATE, layout="mono")
        stream.bit_rate = 40_000
        frame = av.AudioFrame.from_ndarray(to_int16(samples)[None], format="s16", layout="mono")
        frame.sample_rate = SPEECH_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def main() -> None:
    """Compare, print and write."""
    parser = argparse.ArgumentParser(prog="scripts/bench kokoro")
    parser.add_argument("--rounds", type=int, default=7, help="syntheses of the text by each")
    parser.add_argument("--sentences", type=int, default=10, help="sentences of each language that are transcribed")
    parser.add_argument("--no-package", action="store_true", help="leave out kokoro-onnx, and its download")
    parser.add_argument("--audio", type=Path, help="a folder for two sentences of each language, for listening")
    parser.add_argument("--json", type=Path, default=RESULTS / "kokoro.json")
    arguments = parser.parse_args()
    prepare("kokoro-82m", "whisper-base")
    weights = Path(os.environ.get("MODEL_DIR") or ROOT / "models")
    checkpoint = weights / "kokoro-82m"
    phonemizer, styles = Phonemizer(), VoiceStyles(checkpoint / "voices")
    networks = {
        "published": AsPublished(checkpoint),
        "ours": KokoroNetwork(checkpoint, threads=len(os.sched_getaffinity(0))),
    }
    pipelines = {name: KokoroPipeline(styles, phonemizer, each, options=()) for name, each in networks.items()}
    contestants: dict[str, Callable[[], Timing]] = {}
    for name, pipeline in pipelines.items():
        at_once = pieces_at_once(len(os.sched_getaffinity(0))) if name == "ours" else 1
        engine = PartByPartEngine(pipeline, max_requests=1, at_once=at_once)
        contestants[name] = partial(time_speech, engine, Metrics(name, "speech"))
    with tempfile.TemporaryDirectory() as folder:
        if arguments.no_package:
            figures = compare(contestants, arguments.rounds)
        else:
            with package(checkpoint, Path(folder)) as measure:
                figures = compare({**contestants, PACKAGE: measure}, arguments.rounds)
    result = {"text": TEXT, "rounds": arguments.rounds, "load_average": os.getloadavg(), "speed": figures}
    if arguments.sentences:
        result |= hear(pipelines, weights / "whisper-base", arguments.sentences, arguments.audio)
    write(arguments.json, result)


if __name__ == "__main__":
    main()
