"""The request that a model synthesizes when it is loaded, to prove that it works."""

from __future__ import annotations

import numpy as np

from adapters.triton.references import Reference
from adapters.triton.speech_request import SpeechRequest
from tritone.contract import SPEECH_RATE, SpeechOptions

SELF_TEST = SpeechRequest(
    text="The model is loaded, and it can speak.",
    voice="",
    language="auto",
    speed=1.0,
    options=SpeechOptions(instruct="A calm voice.", x_vector_only=True, max_new_tokens=26, seed=0),
    reference=Reference.of(
        (0.1 * np.sin(np.arange(2 * SPEECH_RATE) * (2 * np.pi * 150 / SPEECH_RATE))).astype(np.float32),
        x_vector_only=True,
    ),
)
"""Two seconds of speech. It has the inputs of every mode; each mode ignores those that it does not use."""
