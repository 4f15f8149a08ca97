"""The recordings that `known_speaker_references` tells voices by."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Final

import numpy as np

from gateway.audio.decoding import Recording, cleaned
from gateway.errors import BadRequest, PayloadTooLarge
from gateway.transcription.voices import Voice, Voices
from tritone.contract import LISTEN_RATE

_SECONDS: Final = 2, 10
_SLACK: Final = 0.1
"""Seconds; encoders pad."""
_PARAM: Final = "known_speaker_references[]"


def known_voices(names: Sequence[str], references: Sequence[str], voices: Voices) -> dict[str, Voice]:
    """Each name's voice, from a data URL of 2 to 10 s of audio in base64.

    Raises `BadRequest`. Decodes and runs a network: it belongs in a thread.
    """
    if len(names) != len(references):
        raise _bad("send one for each of known_speaker_names[]")
    return {name: _voice(reference, voices) for name, reference in zip(names, references, strict=True)}


def _voice(reference: str, voices: Voices) -> Voice:
    form, _, data = reference.partition(",")
    if not (form.startswith("data:") and form.endswith(";base64")):
        raise _bad("send data URLs in base64, as `data:audio/wav;base64,...`")
    try:
        file = base64.b64decode(data, validate=True)
    except ValueError:
        raise _bad("it is not base64") from None
    recording = Recording(io.BytesIO(file), LISTEN_RATE, _SECONDS[1] + _SLACK, _PARAM)
    try:
        samples = cleaned(np.concatenate(list(recording.blocks())))
    except PayloadTooLarge:
        raise _bad("each is to be {} to {} s long".format(*_SECONDS)) from None
    if recording.seconds < _SECONDS[0] - _SLACK:
        raise _bad("each is to be {} to {} s long".format(*_SECONDS))
    if not samples.any():
        raise _bad("one of them is silent")
    return voices.voice(samples)


def _bad(problem: str) -> BadRequest:
    return BadRequest(f"{_PARAM}: {problem}", param=_PARAM)
