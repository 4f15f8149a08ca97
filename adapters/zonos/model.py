"""Zonos as a Triton model."""

from __future__ import annotations

import torch
import triton_python_backend_utils as pb_utils

from adapters.inflight.precision import choose_dtype, device_of
from adapters.triton.instance import Instance
from adapters.triton.speech_model import SpeechModel
from adapters.zonos.engine import ZonosEngine
from adapters.zonos.loading import load_engine, self_test
from adapters.zonos.settings import FAMILY, ZONOS_DTYPE, EngineSettings


class TritonPythonModel(SpeechModel):
    """A checkpoint of Zonos' transformer. Its settings begin with `ZONOS_`.

    The config parameter `checkpoint` names another folder than the model's own, below MODEL_DIR unless absolute.
    """

    def load(self, instance: Instance) -> ZonosEngine:
        """Load the checkpoint and run the self-test."""
        model = instance.entry_in(FAMILY)
        folder = instance.model_dir / instance.parameters.get("checkpoint", model.weights)
        device, capability = device_of(instance)
        dtype = choose_dtype(capability, ZONOS_DTYPE.name, ZONOS_DTYPE.read())
        pb_utils.Logger.log_info(f"{instance.model}: {folder} on {device}, {dtype}")
        torch.set_num_threads(instance.threads)
        engine = load_engine(
            folder, EngineSettings.read(), options=model.options, device=device, dtype=getattr(torch, dtype)
        )
        try:
            self_test(engine)
        except BaseException:
            engine.close()
            raise
        return engine
