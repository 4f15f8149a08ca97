"""Whisper as a Triton model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from faster_whisper import WhisperModel

from adapters.triton.instance import Instance
from adapters.triton.self_test_once import self_test_once
from adapters.triton.transcriber import Transcriber
from adapters.triton.transcription_model import TranscriptionModel
from adapters.whisper import checkpoint
from adapters.whisper.self_test import self_test
from adapters.whisper.settings import FAMILY, WHISPER_SHORT_CLIPS
from adapters.whisper.transcriber import WhisperTranscriber


class TritonPythonModel(TranscriptionModel):
    """A Whisper checkpoint.

    The config parameter `checkpoint` names another folder than the model's own, below MODEL_DIR unless absolute: any
    Whisper in CTranslate2's format, or in Hugging Face's format once it is converted. The config parameter
    `known_sentence` with the value `skip` leaves out the self-test.
    """

    def __init__(
        self,
        load_checkpoint: Callable[[Instance, Path], WhisperModel] = checkpoint.load,
        test: Callable[[Transcriber], None] = self_test,
    ) -> None:
        self._load_checkpoint = load_checkpoint
        self._test = test

    def load(self, instance: Instance) -> WhisperTranscriber:
        """Load the instance's checkpoint; raises `FileNotFoundError` or `RuntimeError`."""
        model_dir = instance.model_dir
        options = instance.entry_in(FAMILY).options
        if folder := instance.parameters.get("checkpoint"):
            instance = replace(instance, folder=model_dir / folder)
        transcriber = WhisperTranscriber(
            self._load_checkpoint(instance, model_dir), options=options, short_clips=WHISPER_SHORT_CLIPS.read() == "on"
        )
        if instance.parameters.get("known_sentence") != "skip":
            self_test_once(instance, instance.folder, lambda: self._test(transcriber))
        return transcriber
