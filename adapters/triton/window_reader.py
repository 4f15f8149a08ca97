"""The window in a request to a transcription model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import triton_python_backend_utils as pb_utils

from adapters.triton.options_check import check_supported
from adapters.triton.transcriber import WindowRequest
from tritone.contract import TranscriptionDescription, TranscriptionOptions
from tritone.errors import InvalidInput
from tritone.languages import candidates_of

_OWN_OPTIONS: Final = ("background",)
"""Options that the base classes serve, whatever the family supports."""


def transcription_options(request: Any) -> TranscriptionOptions:
    """Return the parameters of Triton's request; raises `InvalidInput`."""
    return TranscriptionOptions.from_parameters(json.loads(request.parameters() or "{}"))


def read_window(
    request: Any,
    options: TranscriptionOptions,
    model: TranscriptionDescription,
    check: Callable[[TranscriptionOptions], None],
) -> WindowRequest:
    """Return the window of a request; raises `InvalidInput`, and what `check` raises for supported options."""
    audio = pb_utils.get_input_tensor_by_name(request, "audio").as_numpy()
    if audio.shape[0] != 1:
        raise InvalidInput("audio", f"{audio.shape[0]} rows in one request; send one window a request")
    window = WindowRequest(audio[0], options)
    window.check(model.window_seconds)
    check_supported(options, _supported(options, model))
    check(options)
    return window


def _supported(options: TranscriptionOptions, model: TranscriptionDescription) -> tuple[str, ...]:
    """Return the supported options; a model of one language accepts it, as clients send a detected language."""
    only_language = candidates_of(options.language) == model.languages
    return (*model.options, *_OWN_OPTIONS, *(("language",) if only_language else ()))
