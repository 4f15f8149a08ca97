"""Tensors that say they are on a GPU. Their numbers lie in the host's memory, or nowhere (`meta`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from tests.unit.pretended_cuda.driver import CaptureError, CUDAGraph, Driver, Event, Stream, aliases, repeat, tensors_in

CUDA = torch.device("cuda:0")
_READ_BY_HOST = {"item", "tolist", "__bool__", "__int__", "__float__", "__index__", "__contains__"}
_WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique2", "_unique2"}
_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "linear", "convolution", "native_layer_norm"}
_RANDOM = {
    "bernoulli_", "exponential_", "multinomial", "native_dropout", "normal_", "rand", "randint", "randn", "random_",
    "randperm", "uniform_",
}  # fmt: skip


class CudaTensor(Tensor):
    """A tensor of the pretended GPU. torch itself takes it for one of the host, so nothing needs a driver."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    driver: Driver

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)

    def record_stream(self, stream: Any) -> None:
        """Tell the allocator that a stream uses the memory."""
        self.driver.record_stream(self, stream)

    @classmethod
    def of(cls, tensor: Tensor) -> CudaTensor:
        """Return a tensor as one of the GPU, with the same memory."""
        return tensor if isinstance(tensor, cls) else torch.Tensor._make_subclass(cls, tensor, tensor.requires_grad)

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        inputs = tensors_in((args, kwargs.values()))
        ours = [each for each in inputs if isinstance(each, cls)]
        cls._check(func, name, inputs)
        with torch._C._DisableTorchDispatch():
            if ours and ours[0].is_meta:  # shapes are computed in Python, which would see the pretended device
                args, kwargs = tree_map_only(cls, _as_host, (tuple(args), kwargs))
            results = func(*args, **kwargs)
            made = tensors_in(results)
            written = _written(func, args, kwargs)
            view = not written and aliases(made, ours)
            if not view:
                cls.driver.run(name, ours, [*(t for t in written if isinstance(t, cls)), *made])
                if cls.driver.is_capturing:
                    cls._keep(func, name, args, kwargs, made, ours)
            if name == "copy_" and not isinstance(args[0], cls):
                return results
            return _on_gpu(results)

    @classmethod
    def _check(cls, func: Any, name: str, inputs: Sequence[Tensor]) -> None:
        host = [each for each in inputs if not isinstance(each, cls) and each.dim()]
        if name in _WAITING or (name.startswith("index") and any(each.dtype == torch.bool for each in inputs[1:2])):
            cls.driver.wait(name)
        if host and name not in ("copy_", "_to_copy", "_has_compatible_shallow_copy_type"):
            if not name.startswith("index"):
                raise RuntimeError(f"Expected all tensors to be on the same device: {name} of {host[0].shape}")
            cls.driver.wait(f"{name} by a tensor on the host")
        if name in _PRODUCTS:
            types = {each.dtype for each in inputs if each.is_floating_point()}
            if len(types) > 1:
                raise RuntimeError(f"expected tensors of the same dtype: {name} of {types}")
        if name in _RANDOM and cls.driver.is_capturing:
            raise CaptureError(f"{name} draws random numbers in a capture")

    @classmethod
    def _keep(
        cls, func: Any, name: str, args: Any, kwargs: Any, made: Sequence[Tensor], inputs: Sequence[Tensor]
    ) -> None:
        graph = cls.driver.capturing
        assert graph is not None

        def again() -> None:
            with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
                cls.driver.run(f"{name} in a graph", inputs, made)
                repeat(func, args, kwargs, made)

        graph.operations.append(again)


def _as_host(tensor: Tensor) -> Tensor:
    """Return a tensor as torch sees it, with the same memory."""
    return tensor.as_subclass(torch.Tensor)


def _on_gpu(results: Any) -> Any:
    if isinstance(results, Tensor):
        return CudaTensor.of(results)
    return type(results)(map(_on_gpu, results)) if isinstance(results, list | tuple) else results


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Return the arguments that an operation writes to."""
    found: list[Tensor] = []
    if not func._schema.is_mutable:
        return found
    for number, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[number] if number < len(args) else kwargs.get(argument.name)
            found += tensors_in(value)
    return found


class _Calls(TorchFunctionMode):
    """Sees each call of torch on its thread: devices, pinned memory, and reads by the host."""

    def __init__(self, driver: Driver, inner: torch.device) -> None:
        super().__init__()
        self._driver = driver
        self._inner = inner

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        ours = bool(args) and isinstance(args[0], CudaTensor)
        if ours and name in _READ_BY_HOST:
            self._driver.wait(name)
            return func(plain(args[0]), *args[1:], **kwargs)
        match name:
            case "numpy" | "__array__" if ours:
                raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
            case "is_pinned":
                return self._is_pinned(args[0])
            case "pin_memory":
                return self._pin(args[0].clone())
            case "to" | "cpu" | "cuda":
                return self._moved(func, name, args, kwargs)
            case "copy_":
                self._copied(args[0], args[1], non_blocking=kwargs.get("non_blocking", args[2:3] == (True,)))
                return func(*args, **kwargs)
        pinned = bool(kwargs.pop("pin_memory", False))
        on_gpu = _is_cuda(kwargs.get("device"))
        if on_gpu:
            kwargs["device"] = self._inner
        made = func(*args, **kwargs)
        if pinned and not on_gpu:
            self._pin(made)
        if on_gpu and isinstance(made, Tensor):
            if name in ("tensor", "as_tensor", "asarray"):
                self._driver.wait(f"torch.{name} of the host's values")
            made = CudaTensor.of(made)
            self._driver.run(name, [], [made])
            if self._driver.is_capturing:
                self._capture_fill(func, args, kwargs, made)
        return made

    def _capture_fill(self, func: Any, args: Any, kwargs: Any, made: Tensor) -> None:
        if func.__name__ in _RANDOM:
            raise CaptureError(f"{func.__name__} draws random numbers in a capture")
        graph = self._driver.capturing
        assert graph is not None

        def again() -> None:
            with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
                self._driver.run(f"{func.__name__} in a graph", [], [made])
                made.copy_(func(*args, **kwargs))

        graph.operations.append(again)

    def _moved(self, func: Any, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        tensor, rest = args[0], list(args[1:])
        target = {"cpu": torch.device("cpu"), "cuda": CUDA}.get(name, kwargs.pop("device", None))
        if rest and isinstance(rest[0], Tensor):
            target, rest[0] = rest[0].device, rest[0].dtype
        elif rest and isinstance(rest[0], str | int | torch.device):
            target = rest.pop(0)
        if target is None:
            return func(tensor, *rest, **kwargs)
        non_blocking = bool(kwargs.pop("non_blocking", rest[1:2] == [True]))
        dtype = kwargs.pop("dtype", next(iter(rest), None)) or tensor.dtype
        on_gpu = isinstance(tensor, CudaTensor)
        if _is_cuda(target) == on_gpu:
            return tensor.to(dtype, **kwargs)
        if on_gpu:
            self._copied(torch.empty(0), tensor, non_blocking=False)
            self._driver.run("copy to the host", [tensor], [])
            return plain(tensor).clone().to(dtype, **kwargs)
        self._copied(None, tensor, non_blocking=non_blocking)
        moved = CudaTensor.of(tensor.detach().to(self._inner, dtype, copy=True, **kwargs))
        self._driver.run("copy to the device", [], [moved])
        return moved

    def _copied(self, target: Tensor | None, source: Tensor, *, non_blocking: bool) -> None:
        """Check a copy; `target` None: on the GPU."""
        to_gpu, from_gpu = target is None or isinstance(target, CudaTensor), isinstance(source, CudaTensor)
        if to_gpu == from_gpu:
            return
        host = source if to_gpu else target
        assert host is not None
        pinned = self._is_pinned(host)
        if self._driver.is_capturing and not (pinned and non_blocking):
            raise CaptureError("a copy between unpinned memory and the device in a capture")
        if not pinned or not non_blocking:
            way = "to" if to_gpu else "from"
            self._driver.wait(f"{'blocking' if pinned else 'unpinned'} copy {way} the device")

    def _pin(self, tensor: Tensor) -> Tensor:
        tensor.pinned = True
        return tensor

    def _is_pinned(self, tensor: Tensor) -> bool:
        return bool(getattr(tensor, "pinned", False))


def plain(tensor: Tensor) -> Tensor:
    """Return the numbers of a tensor of the GPU, on the host."""
    with torch._C._DisableTorchDispatch():
        return tensor.detach()


def _is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


class PretendedCuda:
    """A GPU that is not there. Use it as a context; threads with a stream of their own join by `set_stream`."""

    def __init__(self, inner: str = "cpu", *, capability: tuple[int, int] = (9, 0)) -> None:
        """`inner`: `cpu`, where the numbers are computed, or `meta`, for shapes of any size."""
        self.driver = Driver()
        self._inner = torch.device(inner)
        self._capability = capability
        self._joined = threading.local()
        CudaTensor.driver = self.driver

    @contextmanager
    def __call__(self) -> Iterator[PretendedCuda]:
        """Replace torch's calls of the driver."""
        driver = self.driver
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {
                "Stream": Stream,
                "Event": Event,
                "CUDAGraph": CUDAGraph,
                "graph": driver.graph,
                "graph_pool_handle": object,
                "stream": driver.stream,
                "set_stream": self._set_stream,
                "current_stream": lambda device=None: driver.current,
                "default_stream": lambda device=None: driver.default,
                "synchronize": driver.synchronize,
                "device": _device,
                "empty_cache": driver.synchronize,  # it frees memory, which waits for the device
                "cudart": lambda: SimpleNamespace(cudaMemGetInfo=lambda device: (100 << 30, 140 << 30)),
                "is_available": lambda: True,
                "device_count": lambda: 1,
                "current_device": lambda: 0,
                "get_device_capability": lambda device=None: self._capability,
                "get_device_properties": lambda device=None: SimpleNamespace(
                    name="pretended", multi_processor_count=132
                ),
                "is_current_stream_capturing": lambda: driver.is_capturing,
                "_lazy_init": lambda: None,
            }.items():
                patch.setattr(torch.cuda, name, value)
            overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
            patch.setattr(torch._C, "_cuda_endAllocateToPool", lambda *args: None, raising=False)
            torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter becomes another object
            try:
                with _Calls(driver, self._inner):
                    yield self
            finally:
                torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
            driver.finish()

    def _set_stream(self, stream: Stream) -> None:
        self.driver.set_stream(stream)
        if threading.current_thread() is not threading.main_thread() and not hasattr(self._joined, "mode"):
            self._joined.mode = _Calls(self.driver, self._inner)
            self._joined.mode.__enter__()


@contextmanager
def _device(device: Any) -> Iterator[None]:
    yield
