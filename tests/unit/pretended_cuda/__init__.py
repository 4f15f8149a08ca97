"""A stand-in for CUDA and its driver: torch code runs as if on a GPU, on a machine without one, and breaches are noted.

It proves devices, precisions, the order of streams, and the rules of captures. It proves nothing about kernels,
libraries, speed or memory: no GPU code runs.
"""

from tests.unit.pretended_cuda.driver import Driver
from tests.unit.pretended_cuda.tensors import CUDA, CudaTensor, PretendedCuda

__all__ = ["CUDA", "CudaTensor", "Driver", "PretendedCuda"]
