"""Qwen2.5-Omni as a Triton model."""

from __future__ import annotations

import torch
import triton_python_backend_utils as pb_utils

from adapters.inflight.precision import choose_dtype, device_of
from adapters.qwen2_5_omni.engine import OmniEngine
from adapters.qwen2_5_omni.loading import load_engine, self_test
from adapters.qwen2_5_omni.settings import FAMILY, OMNI_DTYPE, EngineSettings
from adapters.triton.instance import Instance
from adapters.triton.streamed_transcription_model import StreamedTranscriptionModel
from tritone.checkpoints import by_setting


class TritonPythonModel(StreamedTranscriptionModel):
    """A Qwen2.5-Omni checkpoint, plain or quantised with AWQ. Its settings begin with `OMNI_`.

    The config parameter `checkpoint` names another folder than the model's own, below MODEL_DIR unless absolute.
    """

    def load(self, instance: Instance) -> OmniEngine:
        """Load the checkpoint and run the self-test."""
        model = instance.entry_in(FAMILY)
        if path := instance.parameters.get("checkpoint"):
            folder = instance.model_dir / path
        else:
            folder = by_setting(model, FAMILY) or instance.model_dir / model.weights
        device, capability = device_of(instance)
        dtype = choose_dtype(capability, OMNI_DTYPE.name, OMNI_DTYPE.read())
        pb_utils.Logger.log_info(f"{instance.model}: {folder} on {device}, {dtype}")
        torch.set_num_threads(instance.threads)
        settings = EngineSettings.read(device)
        engine = load_engine(folder, settings, options=model.options, device=device, dtype=getattr(torch, dtype))
        try:
            self_test(engine)
        except BaseException:
            engine.close()
            raise
        return engine
