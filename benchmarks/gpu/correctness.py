"""Whether what is fast is right: graphs equal what they were captured of, and nothing is rounded more than need be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.qwen3_tts.inflight.codec import CodecDecoder, StreamingCodec
from adapters.qwen3_tts.inflight.frame import FrameStepper
from adapters.qwen3_tts.inflight.graphs import Graphs
from adapters.qwen3_tts.inflight.sampling import Sampling
from adapters.qwen3_tts.inflight.weights import Weights
from adapters.qwen3_tts.package import core
from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.stock import StockModel
from benchmarks.gpu import forced
from benchmarks.gpu.rig import PROFILE, Rig, buckets
from benchmarks.gpu.steps import Step

SLACK = 1.1
"""Ours may be so much further from float32 than the package: both errors are of a few frames, and chance is in them."""
_EXACT = 1e-3
"""A relative error of float32, whose sums are in another order."""
_GREEDY = {"do_sample": False, "subtalker_dosample": False}


def steps(rig: Rig) -> Iterator[Step]:
    """Each says whether it is `right`."""
    yield Step("graphs_equal_eager", 40, lambda: _graphs(rig))
    yield Step("kernels_and_rounding", 50, lambda: _rounding(rig))
    yield Step("codec", 20, lambda: _codec(rig))


def _graphs(rig: Rig) -> dict[str, Any]:
    """The same utterances joining and leaving, by graphs and without."""
    most = rig.options.pick(32, 4)
    by_graphs, eager = (_together(rig, most, graphs=graphs) for graphs in (True, False))
    differing = [name for name in eager if not np.array_equal(by_graphs[name], eager[name])]
    return {"right": not differing, "utterances": len(eager), "differing": differing[:8]}


def _together(rig: Rig, most: int, *, graphs: bool) -> dict[str, NDArray[Any]]:
    """Codes of as many streams as there are slots, and some more, and their audio."""
    stepper, codec = rig.stepper(most, graphs=graphs), rig.codec(most, graphs=graphs)
    open_: dict[int, str] = {}
    codes = defaultdict[str, list[NDArray[Any]]](list)
    audio: dict[str, NDArray[Any]] = {}
    started = 0
    for turn in range(3 * most // 2 + 12):
        if turn % 2 == 0 or turn < most:  # a join a frame at first, then every other one
            for slot in sorted(set(range(most)) - open_.keys())[:1]:
                prepared = rig.prepared(started)
                sampling = Sampling.of(rig.weights.generation, {"seed": started}, _GREEDY if started % 5 == 4 else {})
                stepper.prefill(slot, prepared.prompt, sampling)
                codec.reset(slot)
                open_[slot], started = f"utterance {started}", started + 1
        slots = sorted(open_)
        made = stepper.step(slots).codes.cpu().numpy()
        for slot, row in zip(slots, made, strict=True):
            codes[open_[slot]].append(row.copy())
        size = PROFILE.sizes[turn % 2]
        if turn and turn % 6 == 0:  # a chunk of whoever has one
            ready = [slot for slot in slots if len(codes[open_[slot]]) >= size]
            ready = ready[: buckets(len(ready))[-1]]  # without graphs, batches are not filled up
            chunk = np.stack([np.stack(codes[open_[slot]][-size:]) for slot in ready])
            for slot, samples in zip(ready, codec.speak(ready, chunk).wait(), strict=False):
                audio[f"{open_[slot]}, audio at {turn}"] = samples.copy()
        if turn % 3 == 2:
            stepper.release(slots[turn % len(slots)])
            del open_[slots[turn % len(slots)]]
    return {name: np.stack(rows) for name, rows in codes.items()} | audio


def _rounding(rig: Rig) -> dict[str, Any]:
    """Teacher-forced scores in 16 bits, ours and the package's, against the package's in float32."""
    frames = rig.options.pick(48, 12)
    folder, device = rig.checkpoint.folder, rig.options.device
    dtype = rig.dtype if rig.dtype.itemsize == 2 else torch.bfloat16
    weights = rig.weights if rig.dtype == dtype else Weights.load(folder, device, dtype)
    prompt, codes = rig.prepared(0).prompt, forced.codes_for(weights, frames, seed=1)
    with torch.inference_mode():
        reference = forced.of_package(_package(rig, torch.float32), prompt, codes)
        scores = {"package": forced.of_package(_package(rig, dtype), prompt, codes)}
        for name, fused in {"plain": False, "fused": True}.items():
            if fused and rig.device.type == "cpu":
                continue
            stepper = FrameStepper(
                weights, slots=1, positions=512, fused=fused, graphs=Graphs(rig.device, enabled=False)
            )
            scores[name] = forced.of_engine(stepper, weights, prompt, codes)
    told: dict[str, Any] = {name: each.against(reference) for name, each in scores.items()}
    ours = told.get("fused", told["plain"])
    right = all(ours[part] <= SLACK * told["package"][part] for part in ("talker_error", "predictor_error"))
    return {"right": right, "dtype": str(dtype), "frames": frames, **told}


def _package(rig: Rig, dtype: torch.dtype) -> Any:
    name = str(dtype).removeprefix("torch.")
    return StockModel.load(rig.checkpoint, Runtime(rig.options.device, name, "sdpa")).model


def _codec(rig: Rig) -> dict[str, Any]:
    """Audio of chunks in the precision that is served, ours and the package's whole, against float32."""
    frames = sum(PROFILE.sizes) * 2
    codes = forced.codes_for(rig.weights, frames, seed=2)
    exact, package = (_package_codec(rig, dtype) for dtype in (torch.float32, rig.dtype))
    without_tf32 = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.inference_mode(), without_tf32:
        reference, theirs = (decoder(codes.T[None]).flatten() for decoder in (exact, package))
        told = {
            "error": forced.relative_error(_chunks(rig.decoder, codes), reference),
            "package_error": forced.relative_error(theirs, reference),
            "float32_error": forced.relative_error(_chunks(CodecDecoder(exact), codes), reference),
        }
    right = told["float32_error"] < _EXACT and told["error"] <= max(SLACK * told["package_error"], _EXACT)
    return {"right": right, **told}


def _package_codec(rig: Rig, dtype: torch.dtype) -> Any:
    folder = rig.checkpoint.folder / "speech_tokenizer"
    return core.Qwen3TTSTokenizerV2Model.from_pretrained(
        str(folder), device_map=rig.options.device, dtype=dtype
    ).decoder


def _chunks(decoder: CodecDecoder, codes: Tensor) -> Tensor:
    """Samples of a stream of chunks of two frames."""
    codec = StreamingCodec(decoder, slots=1)
    samples = [codec.speak([0], chunk[None]).wait()[0] for chunk in np.split(codes.cpu().numpy(), len(codes) // 2)]
    return torch.from_numpy(np.concatenate(samples)).to(codes.device)
