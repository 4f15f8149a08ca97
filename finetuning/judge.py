"""Ears for training: Whisper and a speaker network, in a process of the environment `whisper`.

    python -m finetuning.judge MODEL_DIR WHISPER FD     answers requests, a line of JSON each, until its input ends

The answers go to the file descriptor FD, because libraries print to the standard output.

Training runs in the environment `qwen`, whose packages do not agree with theirs.
"""

from __future__ import annotations

import base64
import json
import os
import selectors
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from finetuning.errors import FineTuningError
from finetuning.wav import Samples
from supervisor.environments import ROOT
from tritone.languages import code_of

ENVIRONMENT: Final = "whisper"
_SECONDS: Final = 900.0
"""The longest wait for an answer: a CPU loads Whisper and transcribes 30 s of speech in it."""
_DIALECT: Final = "_dialect"


class WorkerJudge:
    """The judge in its process, which starts with the first request. A context manager; `close` ends the process."""

    def __init__(self, model_dir: Path, whisper: str) -> None:
        """`whisper`: the folder of a Whisper model below `model_dir`."""
        self._command = [sys.executable, "-m", "supervisor.environments", ENVIRONMENT]
        self._command += ["-m", __spec__.name, str(model_dir), whisper]
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1

    def __enter__(self) -> WorkerJudge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transcribe(self, audio: Sequence[Samples], language: str) -> list[str]:
        """Return the text of each recording, samples (n,) at 24 kHz; raises `FineTuningError`."""
        code = code_of("chinese" if language.endswith(_DIALECT) else language) or ""
        texts: list[str] = self._ask("transcribe", audio=[_packed(samples) for samples in audio], language=code)
        return texts

    def character_errors(self, heard: str, meant: str) -> tuple[int, int]:
        """Return the wrong characters, and the characters of `meant`, without punctuation, case and spaces."""
        errors, characters = self._ask("character_errors", heard=heard, meant=meant)
        return errors, characters

    def embed(self, audio: Sequence[Samples]) -> Samples:
        """Return a speaker embedding of unit length for each recording, (recordings, n)."""
        return np.array(self._ask("embed", audio=[_packed(samples) for samples in audio]), np.float32)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin
            self._process.kill()
            with suppress(BrokenPipeError):  # a request that did not reach it is flushed once more
                self._process.stdin.close()
            self._process.wait()
            os.close(self._answers)
            self._process = None

    def _ask(self, do: str, **arguments: Any) -> Any:
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
            answer = json.loads(_line(self._answers, _SECONDS))
        except (OSError, ValueError) as error:
            self.close()
            raise FineTuningError(f"what was spoken cannot be judged: {error or 'the judge has ended'}") from None
        except BaseException:
            self.close()  # its answer would be taken for the next one's
            raise
        if "error" in answer:
            raise FineTuningError(f"what was spoken cannot be judged: {answer['error']}")
        return answer["is"]

    def _start(self) -> subprocess.Popen[bytes]:
        self._answers, theirs = os.pipe()
        try:
            # In a group of its own, so that Ctrl-C reaches only the training, which ends it.
            return subprocess.Popen(
                [*self._command, str(theirs)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=2,
                pass_fds=[theirs],
                process_group=0,
            )
        finally:
            os.close(theirs)


class _Ears:
    """The worker's side."""

    def __init__(self, model_dir: Path, whisper: str) -> None:
        self._model_dir, self._whisper = model_dir, whisper
        self._transcripts: Any = None
        self._encoder: Any = None

    def transcribe(self, audio: Sequence[str], language: str) -> list[str]:
        from finetuning.recordings.transcripts import Transcripts  # noqa: PLC0415 - only the worker has its packages

        self._transcripts = self._transcripts or Transcripts(self._model_dir, self._whisper)
        return [made.text for made in self._transcripts.of([_unpacked(text) for text in audio], language)]

    def character_errors(self, heard: str, meant: str) -> tuple[int, int]:
        from rapidfuzz.distance import Levenshtein  # noqa: PLC0415 - only the worker has it

        wanted = characters(meant)
        return Levenshtein.distance(characters(heard), wanted), len(wanted)

    def embed(self, audio: Sequence[str]) -> list[list[float]]:
        from finetuning.recordings.audio import at_listen_rate  # noqa: PLC0415 - only the worker has its packages
        from gateway.core.speaker_encoder import SHORTEST, SpeakerEncoder  # noqa: PLC0415
        from tritone.contract import LISTEN_RATE  # noqa: PLC0415

        self._encoder = self._encoder or SpeakerEncoder(self._model_dir)
        if self._encoder.missing:
            raise FineTuningError(self._encoder.missing)
        recordings = [at_listen_rate(_unpacked(text)) for text in audio]
        least = int(SHORTEST * LISTEN_RATE) + 1
        padded = [np.pad(samples, (0, max(0, least - len(samples)))) for samples in recordings]
        return [self._encoder.encode(samples).tolist() for samples in padded]


def characters(text: str) -> str:
    """Return the letters, marks and digits of a text, in one case and one form."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in plain if unicodedata.category(character)[0] in "LMN")


def _line(pipe: int, seconds: float) -> bytes:
    """Read a line from a pipe; raises `OSError` at its end, and after `seconds`."""
    deadline, parts = time.monotonic() + seconds, bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not parts.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError(f"no answer within {seconds:.0f} s")
            part = os.read(pipe, 1 << 16)
            if not part:
                raise OSError("the judge's process has ended")
            parts += part
    return bytes(parts)


def _packed(samples: Samples) -> str:
    return base64.b64encode(np.ascontiguousarray(samples, "<f4").tobytes()).decode()


def _unpacked(text: str) -> Samples:
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)


def main(model_dir: str, whisper: str, pipe: str) -> None:
    """Answer the requests on standard input."""
    answers = os.fdopen(int(pipe), "w", encoding="utf-8")
    ears = _Ears(Path(model_dir), whisper)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        work: Callable[..., Any] = getattr(ears, request.pop("do"))
        try:
            answer = {"is": work(**request)}
        except Exception as error:  # the training goes on without this judgement
            answer = {"error": f"{error}" if isinstance(error, FineTuningError) else f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
