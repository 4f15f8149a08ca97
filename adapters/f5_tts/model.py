"""F5-TTS as a Triton model."""

from __future__ import annotations

import torch
import triton_python_backend_utils as pb_utils

from adapters.f5_tts.checkpoint import load_networks
from adapters.f5_tts.engine import F5Engine
from adapters.f5_tts.settings import F5_DTYPE, FAMILY, EngineSettings
from adapters.inflight.cuda_streams import disable_cudnn_attention
from adapters.inflight.precision import choose_dtype, device_of
from adapters.triton.instance import Instance
from adapters.triton.speech_model import SpeechModel
from tritone.checkpoints import by_setting


class TritonPythonModel(SpeechModel):
    """An F5-TTS checkpoint with its vocoder. Its settings begin with `F5_`.

    The config parameter `checkpoint` names another folder than the model's own, below MODEL_DIR unless absolute.
    """

    def load(self, instance: Instance) -> F5Engine:
        """Load the checkpoint and run the self-test."""
        model = instance.entry_in(FAMILY)
        if path := instance.parameters.get("checkpoint"):
            folder = instance.model_dir / path
        else:
            folder = by_setting(model, FAMILY) or instance.model_dir / model.weights
        name, capability = device_of(instance)
        wanted = F5_DTYPE.read() or ("float16" if capability else "")  # as the package; the steps add up in float32
        precision = choose_dtype(capability, F5_DTYPE.name, wanted)
        pb_utils.Logger.log_info(f"{instance.model}: {folder} on {name}, {precision}")
        torch.set_num_threads(instance.threads)
        device, dtype = torch.device(name), getattr(torch, precision)
        disable_cudnn_attention(device)
        networks = load_networks(folder, device, dtype)
        engine = F5Engine(networks, EngineSettings.read(name), options=model.options, device=device, dtype=dtype)
        try:
            engine.self_test()
        except BaseException:
            engine.close()
            raise
        return engine
