"""The self-test of Whisper: a recorded sentence, transcribed when the model is loaded."""

from __future__ import annotations

import re
from pathlib import Path

from faster_whisper import decode_audio

from adapters.triton.transcriber import Transcriber, WindowRequest
from tritone.contract import LISTEN_RATE, TranscriptionOptions

KNOWN_AUDIO = Path(__file__).with_name("known_sentence.ogg")
KNOWN_WORDS = "the quick brown fox jumps over the lazy dog"


def self_test(transcriber: Transcriber) -> None:
    """Raise `RuntimeError` unless `KNOWN_AUDIO` is transcribed as `KNOWN_WORDS`.

    A CTranslate2 that was built for another driver returns no text and raises no error.
    """
    audio = decode_audio(str(KNOWN_AUDIO), sampling_rate=LISTEN_RATE)
    [transcript] = transcriber.transcribe([WindowRequest(audio, TranscriptionOptions(language="en"))])
    text = "".join(segment.text for segment in transcript.segments)
    if re.findall(r"\w+", text.lower()) != KNOWN_WORDS.split():
        raise RuntimeError(
            f"the self-test failed: the transcript is {text!r} instead of {KNOWN_WORDS!r}; "
            "the weights or the runtime are broken"
        )
