"""Loading of the checkpoint on a GPU, as the settings say."""

from __future__ import annotations

from collections.abc import Callable

import torch

from adapters.inflight.cuda_streams import disable_cudnn_attention
from adapters.inflight.precision import choose_dtype, device_of
from adapters.kokoro.gpu.module import Kokoro
from adapters.kokoro.gpu.network import GpuNetwork
from adapters.kokoro.settings import KOKORO_BATCH_FRAMES, KOKORO_CUDA_GRAPHS, KOKORO_DTYPE
from adapters.kokoro.synthesis import Vocabulary
from adapters.triton.instance import Instance


def load(instance: Instance, log: Callable[[str], object]) -> GpuNetwork:
    """Load the published weights, and capture the graphs of usual batches.

    Raises `FileNotFoundError`, `UnknownWeightsError` for another model, and `UnusableRuntimeError`.
    """
    vocabulary = Vocabulary(instance.folder)
    name, capability = device_of(instance)
    precision = choose_dtype(capability, KOKORO_DTYPE.name, KOKORO_DTYPE.read() or "float32")
    torch.set_num_threads(instance.threads)
    device, dtype = torch.device(name), getattr(torch, precision)
    disable_cudnn_attention(device)
    log(f"{instance.model}: {instance.folder} on {name}, decoder in {precision}")
    network = GpuNetwork(
        Kokoro.load(instance.folder / "model.onnx", device, dtype),
        vocabulary,
        device,
        batch_frames=KOKORO_BATCH_FRAMES.read(),
        graphs=KOKORO_CUDA_GRAPHS.read() == "auto",
    )
    log(f"{instance.model}: {network.capture()} CUDA graphs")
    return network
