"""Correctness of the fast paths: graphs equal the work that they captured, and roundings are no worse than the
package's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.codec.weights import CodecWeights
from adapters.qwen3_tts.inflight.device.graphs import Graphs
from adapters.qwen3_tts.inflight.model.sampling_params import SamplingParams
from adapters.qwen3_tts.inflight.model.stepper import FrameStepper
from adapters.qwen3_tts.inflight.model.weights import Weights
from adapters.qwen3_tts.package import core
from adapters.qwen3_tts.runtime import Runtime
from adapters.qwen3_tts.stock.package_model import PackageModel
from benchmarks.gpu import forced
from benchmarks.gpu.rig import CHUNK_SCHEDULE, Rig, buckets
from benchmarks.gpu.steps import Step
from tritone.contract import SpeechOptions

SLACK = 1.1
"""Our distance from float32 may be larger than the package's by this factor: both are measured on a few frames."""
_EXACT = 1e-3
"""A relative error of float32 with another order of sums."""
_GREEDY = SpeechOptions(temperature=0.0)


def steps(rig: Rig) -> Iterator[Step]:
    """Check; each result has the entry `right`."""
    yield Step("graphs_equal_eager", 40, lambda: _graphs(rig))
    yield Step("kernels_and_rounding", 50, lambda: _rounding(rig))
    yield Step("codec", 20, lambda: _codec(rig))


def _graphs(rig: Rig) -> dict[str, Any]:
    """Run the same streams, which join and leave, with and without graphs."""
    most = rig.options.pick(32, 4)
    by_graphs, eager = (_together(rig, most, graphs=graphs) for graphs in (True, False))
    differing = [name for name in eager if not np.array_equal(by_graphs[name], eager[name])]
    figures: dict[str, Any] = {"right": not differing, "utterances": len(eager), "differing": len(differing)}
    if differing:
        again = _together(rig, most, graphs=False)  # work that differs from itself does not accuse the graphs
        figures["eager_repeats"] = all(np.array_equal(again[name], eager[name]) for name in eager)
        figures["first"] = {name: _difference(by_graphs[name], eager[name]) for name in differing[:8]}
    return figures


def _difference(ours: NDArray[Any], theirs: NDArray[Any]) -> dict[str, Any]:
    """Return where two arrays differ first, and by how much; of codes the place is the frame and the codebook."""
    places = np.argwhere(ours != theirs)
    most = float(np.abs(ours.astype(np.float64) - theirs).max())
    return {"first_at": places[0].tolist(), "count": len(places), "of": ours.size, "largest": most}


def _together(rig: Rig, most: int, *, graphs: bool) -> dict[str, NDArray[Any]]:
    """Return the codes and the audio of more streams than there are slots."""
    stepper, codec = rig.stepper(most, graphs=graphs), rig.codec(most, graphs=graphs)
    open_: dict[int, str] = {}
    codes = defaultdict[str, list[NDArray[Any]]](list)
    audio: dict[str, NDArray[Any]] = {}
    started = 0
    for turn in range(3 * most // 2 + 12):
        if turn % 2 == 0 or turn < most:  # one stream joins per frame at first, then every other frame
            for slot in sorted(set(range(most)) - open_.keys())[:1]:
                prepared = rig.prepared(started)
                options = _GREEDY if started % 5 == 4 else SpeechOptions()
                sampling = SamplingParams.from_options(rig.weights.generation, options, seed=started)
                stepper.start(slot, prepared.prompt, sampling)
                codec.reset(slot)
                open_[slot], started = f"utterance {started}", started + 1
        slots = sorted(open_)
        made = stepper.step(slots).codes.cpu().numpy()
        for slot, row in zip(slots, made, strict=True):
            codes[open_[slot]].append(row.copy())
        size = CHUNK_SCHEDULE.sizes[turn % 2]
        if turn and turn % 6 == 0:  # a chunk of each stream that has one
            ready = [slot for slot in slots if len(codes[open_[slot]]) >= size]
            ready = ready[: buckets(len(ready))[-1]]  # without graphs, batches are not padded
            chunk = np.stack([np.stack(codes[open_[slot]][-size:]) for slot in ready])
            for slot, samples in zip(ready, codec.decode(ready, chunk).wait(), strict=False):
                audio[f"{open_[slot]}, audio at {turn}"] = samples.copy()
        if turn % 3 == 2:
            stepper.release(slots[turn % len(slots)])
            del open_[slots[turn % len(slots)]]
    return {name: np.stack(rows) for name, rows in codes.items()} | audio


def _rounding(rig: Rig) -> dict[str, Any]:
    """Compare teacher-forced scores in 16 bits, ours and the package's, with the package's in float32."""
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
    figures: dict[str, Any] = {name: each.against(reference) for name, each in scores.items()}
    ours = figures.get("fused", figures["plain"])
    right = all(ours[part] <= SLACK * figures["package"][part] for part in ("talker_error", "predictor_error"))
    return {"right": right, "dtype": str(dtype), "frames": frames, **figures}


def _package(rig: Rig, dtype: torch.dtype) -> Any:
    name = str(dtype).removeprefix("torch.")
    return PackageModel.load(rig.checkpoint, Runtime(rig.options.device, name, "sdpa")).model


def _codec(rig: Rig) -> dict[str, Any]:
    """Compare audio in the served precision, ours in chunks and the package's whole, with float32."""
    frames = sum(CHUNK_SCHEDULE.sizes) * 2
    codes = forced.codes_for(rig.weights, frames, seed=2)
    exact, package = (_package_codec(rig, dtype) for dtype in (torch.float32, rig.dtype))
    without_tf32 = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.inference_mode(), without_tf32:
        reference, theirs = (decoder(codes.T[None]).flatten() for decoder in (exact, package))
        figures = {
            "error": forced.relative_error(_chunks(rig.decoder, codes), reference),
            "package_error": forced.relative_error(theirs, reference),
            "float32_error": forced.relative_error(_chunks(_exact_decoder(rig), codes), reference),
        }
    right = figures["float32_error"] < _EXACT and figures["error"] <= max(SLACK * figures["package_error"], _EXACT)
    return {"right": right, **figures}


def _package_codec(rig: Rig, dtype: torch.dtype) -> Any:
    folder = rig.checkpoint.folder / "speech_tokenizer"
    return core.Qwen3TTSTokenizerV2Model.from_pretrained(
        str(folder), device_map=rig.options.device, dtype=dtype
    ).decoder


def _exact_decoder(rig: Rig) -> CodecDecoder:
    return CodecDecoder(CodecWeights.load(rig.checkpoint.folder / "speech_tokenizer", rig.device), torch.float32)


def _chunks(decoder: CodecDecoder, codes: Tensor) -> Tensor:
    """Decode a stream in chunks of two frames."""
    codec = StreamingCodec(decoder, slots=1)
    samples = [codec.decode([0], chunk[None]).wait()[0] for chunk in np.split(codes.cpu().numpy(), len(codes) // 2)]
    return torch.from_numpy(np.concatenate(samples)).to(codes.device)
