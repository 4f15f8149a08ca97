"""The voice activity detectors of recordings and live sessions; all share one network."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gateway.core.errors import ModelUnavailable
from tritone import vad
from tritone.windowing import SpeechDetector


class SpeechDetectors:
    """Makes detectors from the network below `model_dir`, which is read when the first is needed."""

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir
        self._session: Any = None

    @property
    def missing(self) -> str:
        """The problem with the network's file, and the command that fetches it; empty if it can be used."""
        return "" if self._session is not None else vad.missing(self._model_dir)

    async def load(self) -> None:
        """Read the network, unless it was read before. Raises `ModelUnavailable` if its file is missing."""
        if self._session is None:
            try:
                self._session = await asyncio.to_thread(vad.load, self._model_dir)
            except vad.MissingWeightsError as error:
                raise ModelUnavailable(str(error)) from None

    def new(self) -> SpeechDetector:
        """Return a detector for one recording or session; `load` must have been called before."""
        return vad.Vad(self._session)
