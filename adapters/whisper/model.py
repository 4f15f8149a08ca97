"""The Whisper family inside Triton."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from faster_whisper import decode_audio

from adapters.triton.instance import Instance
from adapters.triton.transcription import TranscriptionModel
from adapters.triton.window import Window
from adapters.whisper import checkpoint
from adapters.whisper.transcriber import WhisperTranscriber
from tritone.contract import LISTEN_RATE, TranscriptionOptions

KNOWN_AUDIO = Path(__file__).with_name("known_sentence.ogg")
KNOWN_WORDS = "the quick brown fox jumps over the lazy dog"


class TritonPythonModel(TranscriptionModel):
    """A Whisper checkpoint as Triton serves it.

    The config's parameter `checkpoint` names another folder than the model's own, below MODEL_DIR unless absolute: any
    Whisper in CTranslate2's format, or in Hugging Face's once it is converted. Its parameter `known_sentence`, unless
    it is `skip`, makes loading fail where a recorded sentence does not come back word for word: a CTranslate2 that was
    built for another driver hears nothing, without an error.
    """

    def load(self, instance: Instance) -> WhisperTranscriber:
        """Load the instance's checkpoint; raises `FileNotFoundError` or `RuntimeError`."""
        model_dir = instance.folder.parent
        if folder := instance.parameters.get("checkpoint"):
            instance = replace(instance, folder=model_dir / folder)
        transcriber = WhisperTranscriber(checkpoint.load(instance, model_dir))
        if instance.parameters.get("known_sentence") != "skip":
            hear_known_sentence(transcriber)
        return transcriber


def hear_known_sentence(transcriber: WhisperTranscriber) -> None:
    """Raise `RuntimeError` unless `KNOWN_AUDIO` is heard as `KNOWN_WORDS`."""
    audio = decode_audio(str(KNOWN_AUDIO), sampling_rate=LISTEN_RATE)
    [transcript] = transcriber.transcribe([Window(audio, TranscriptionOptions(language="en"))])
    heard = "".join(segment.text for segment in transcript.segments)
    if re.findall(r"\w+", heard.lower()) != KNOWN_WORDS.split():
        raise RuntimeError(f"the model or its runtime is broken: it heard {heard!r} instead of {KNOWN_WORDS!r}")
