"""The stand-in of CUDA notes what a GPU would get wrong in silence, and refuses what CUDA refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from adapters.inflight.cuda_streams import device_tensor, hold_for_stream
from adapters.qwen3_tts.inflight.device.async_copy import AsyncCopy, upload
from adapters.qwen3_tts.inflight.device.graphs import Graphs
from adapters.qwen3_tts.inflight.model.kernels.activation import silu_mul
from tests.unit.pretended_cuda import CUDA, PretendedCuda
from tests.unit.pretended_cuda.driver import CaptureError
from tests.unit.pretended_cuda.kernels import interpreted_kernels


@pytest.fixture
def cuda() -> Iterator[PretendedCuda]:
    with PretendedCuda()() as cuda:
        yield cuda


def test_streams_without_order_race(cuda: PretendedCuda) -> None:
    one, other = torch.cuda.Stream(CUDA), torch.cuda.Stream(CUDA)
    with torch.cuda.stream(one):
        x = torch.ones(2, device=CUDA)
    with torch.cuda.stream(other):
        x + 1
    assert [breach for breach in cuda.driver.breaches if "does not wait for ones" in breach]


def test_kernels_of_the_triton_language_race_like_other_work(cuda: PretendedCuda) -> None:
    with interpreted_kernels(cuda.driver):
        with torch.cuda.stream(torch.cuda.Stream(CUDA)):
            x = torch.ones(2, 4, device=CUDA)
            made = silu_mul(x)
        assert cuda.driver.breaches == []
        with torch.cuda.stream(torch.cuda.Stream(CUDA)):
            made + 1
            silu_mul(x)
        with pytest.raises(ValueError, match="tensor of the host"):
            silu_mul.__globals__["_silu_mul"][(1, 1)](x, torch.ones(2, 2), 2, BLOCK=2)
    for breach in ("add on stream 3 does not wait for _silu_mul", "_silu_mul on stream 3 does not wait for ones"):
        assert any(breach in each for each in cuda.driver.breaches), cuda.driver.breaches


@pytest.mark.parametrize("order", ["stream", "event", "host"])
def test_ordered_streams_do_not_race(cuda: PretendedCuda, order: str) -> None:
    one, other = torch.cuda.Stream(CUDA), torch.cuda.Stream(CUDA)
    with torch.cuda.stream(one):
        x = torch.ones(2, device=CUDA)
        done = torch.cuda.Event()
        done.record()
    if order == "stream":
        other.wait_stream(one)
    elif order == "event":
        other.wait_event(done)
    else:
        done.synchronize()
    with torch.cuda.stream(other):
        assert (x + 1).tolist() == [2, 2]
    assert cuda.driver.breaches == []


@pytest.mark.parametrize("held", [False, True])
def test_memory_must_not_be_freed_while_another_stream_uses_it(cuda: PretendedCuda, held: bool) -> None:
    other = torch.cuda.Stream(CUDA)
    x = torch.ones(2, device=CUDA)
    other.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(other):
        if held:
            hold_for_stream(x)
        x + 1
    del x
    cuda.driver.finish()
    assert len(cuda.driver.breaches) == (not held)


def test_wait_for_an_event_that_was_never_recorded_is_noted(cuda: PretendedCuda) -> None:
    torch.cuda.Event().synchronize()
    assert "never recorded" in cuda.driver.breaches[0]


@pytest.mark.parametrize(
    "work",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x[0]),
        lambda x: x.cpu(),
        lambda x: x[x > 0],
        lambda x: torch.tensor([1.0], device=CUDA),
        lambda x: torch.randn(2, device=CUDA),
        lambda x: x.nonzero(),
    ],
    ids=["item", "bool", "cpu", "mask", "tensor", "random", "nonzero"],
)
def test_work_that_no_graph_can_hold_is_refused(cuda: PretendedCuda, work: Callable[[torch.Tensor], object]) -> None:
    x = torch.ones(2, device=CUDA)
    with pytest.raises(CaptureError):
        Graphs(CUDA).run("work", lambda: work(x))


def test_replay_repeats_the_work_on_the_same_memory(cuda: PretendedCuda) -> None:
    graphs, x = Graphs(CUDA), torch.ones(2, device=CUDA)
    for value in (1.0, 5.0):
        upload(x, [value, value])
        result = graphs.run("work", lambda: (x * 2).add_(1) + torch.zeros(2, device=CUDA))
        assert AsyncCopy(result).wait().tolist() == [2 * value + 1] * 2
    assert len(graphs) == 1
    assert cuda.driver.breaches == []


def test_devices_and_precisions_do_not_mix(cuda: PretendedCuda) -> None:
    x = torch.ones(2, 2, device=CUDA)
    with pytest.raises(RuntimeError, match="same device"):
        x + torch.ones(2)
    with pytest.raises(RuntimeError, match="same dtype"):
        x.bfloat16() @ x


def test_upload_waits_for_nothing(cuda: PretendedCuda) -> None:
    assert device_tensor([1, 2], CUDA).is_cuda
    assert not cuda.driver.waits
    torch.tensor([1, 2], device=CUDA)
    assert cuda.driver.waits
