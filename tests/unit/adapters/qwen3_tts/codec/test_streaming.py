"""The codec in chunks, compared with the package's decoder on whole streams."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.qwen3_tts.inflight.codec.decoder import CodecDecoder
from adapters.qwen3_tts.inflight.codec.layer_factory import working_dtype
from adapters.qwen3_tts.inflight.codec.streaming import StreamingCodec
from adapters.qwen3_tts.inflight.codec.weights import CodecWeights
from adapters.qwen3_tts.inflight.model.weights import UnreadableCheckpointError, Weights
from adapters.qwen3_tts.package import core
from tests.unit.adapters.qwen3_tts.codec.altered_decoder import another_decoder
from tests.unit.adapters.qwen3_tts.codec.converted import converted
from tests.unit.adapters.qwen3_tts.traced_graphs import TracedGraphs

STREAMS, FRAMES = 3, 100
EXACT = {"atol": 1e-10, "rtol": 0}


@pytest.fixture(scope="module")
def package(model_dir: Path) -> Callable[[torch.dtype], Any]:
    """Return the package's decoder, in any precision."""
    folder = model_dir / "Qwen3-TTS-12Hz-0.6B-Base" / "speech_tokenizer"
    decoder = core.Qwen3TTSTokenizerV2Model.from_pretrained(folder).decoder.eval()
    return lambda dtype: copy.deepcopy(decoder).to(dtype)


@pytest.fixture(scope="module")
def decoder(package: Callable[[torch.dtype], Any]) -> CodecDecoder:
    return converted(package(torch.float64))


def random_codes(streams: int, frames: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 64, (streams, frames, 16), generator=torch.Generator().manual_seed(seed))


def whole(package_decoder: Any, codes: Tensor) -> Tensor:
    """Decode all samples at once, by the package."""
    with torch.inference_mode():
        return package_decoder(codes.transpose(1, 2))[:, 0]


def decode(codec: StreamingCodec, slots: Sequence[int], codes: Tensor) -> Tensor:
    """Decode the next samples of some slots."""
    return torch.from_numpy(codec.decode(slots, codes.numpy()).wait())


def in_chunks(codec: StreamingCodec, slot: int, codes: Tensor, *sizes: int) -> Tensor:
    """Decode one stream's codes (frames, 16) in chunks."""
    return torch.cat([decode(codec, [slot], part[None])[0] for part in codes.split(sizes)])


@pytest.fixture(scope="module")
def recordings(package: Callable[[torch.dtype], Any]) -> tuple[Tensor, Tensor]:
    """Codes longer than the transformer's window, and their samples."""
    codes = random_codes(STREAMS, FRAMES)
    return codes, whole(package(torch.float64), codes)


chunks = st.tuples(st.sets(st.integers(0, STREAMS - 1), min_size=1), st.integers(1, 40))


@settings(max_examples=10, deadline=None)
@given(schedule=st.lists(chunks, max_size=12), slots=st.permutations(range(STREAMS + 1)))
def test_stream_in_any_chunks_and_any_batch_equals_the_whole_decode(
    decoder: CodecDecoder,
    recordings: tuple[Tensor, Tensor],
    schedule: list[tuple[set[int], int]],
    slots: list[int],
) -> None:
    codes, samples = recordings
    codec = StreamingCodec(decoder, slots=STREAMS + 1)
    decoded: list[list[Tensor]] = [[] for _ in range(STREAMS)]
    done = [0] * STREAMS
    for together, frames in [*schedule, *(({stream}, FRAMES) for stream in range(STREAMS))]:
        streams = [stream for stream in together if done[stream] < FRAMES]
        if streams:
            size = min(frames, *(FRAMES - done[stream] for stream in streams))
            part = torch.stack([codes[stream, done[stream] : done[stream] + size] for stream in streams])
            for stream, audio in zip(streams, decode(codec, [slots[stream] for stream in streams], part), strict=True):
                decoded[stream].append(audio)
                done[stream] += size
    for audio, expected in zip(decoded, samples, strict=True):
        torch.testing.assert_close(torch.cat(audio), expected, **EXACT)


def test_long_stream_equals_the_whole_decode(decoder: CodecDecoder, package: Callable[[torch.dtype], Any]) -> None:
    codes = random_codes(1, 340)
    samples = in_chunks(StreamingCodec(decoder, slots=1), 0, codes[0], 1, 2, 4, 8, *[12] * 25, 25)
    torch.testing.assert_close(samples, whole(package(torch.float64), codes)[0], **EXACT)


def test_float32_audio_differs_from_the_package_by_less_than_a_16_bit_step(
    package: Callable[[torch.dtype], Any], recordings: tuple[Tensor, Tensor]
) -> None:
    codes, exact = recordings
    stock = package(torch.float32)
    expected = whole(stock, codes)
    samples = decode(StreamingCodec(converted(stock), slots=STREAMS), range(STREAMS), codes)
    torch.testing.assert_close(samples, expected, atol=2e-5, rtol=0)
    assert rms(samples - expected) < 1e-6
    assert rms(samples - exact) < 1.1 * rms(expected - exact)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_audio_is_as_exact_as_the_packages(
    package: Callable[[torch.dtype], Any], recordings: tuple[Tensor, Tensor], dtype: torch.dtype
) -> None:
    codes, exact = recordings
    decoder = converted(package(torch.float32), dtype)
    assert decoder.dtype == dtype
    samples = decode(StreamingCodec(decoder, slots=STREAMS), range(STREAMS), codes)
    assert rms(samples - exact) < 1.1 * rms(whole(package(dtype), codes) - exact)


def test_float16_is_more_exact_than_bfloat16_by_its_three_bits(
    package: Callable[[torch.dtype], Any], recordings: tuple[Tensor, Tensor]
) -> None:
    """Each bit halves the error of a rounding. The bound leaves one of the three bits to chance."""
    codes, exact = recordings
    errors = {}
    for dtype in (torch.bfloat16, torch.float16):
        codec = StreamingCodec(converted(package(torch.float32), dtype), slots=STREAMS)
        errors[dtype] = rms(decode(codec, range(STREAMS), codes) - exact)
    assert errors[torch.float16] < errors[torch.bfloat16] / 4


@pytest.mark.parametrize(
    ("device", "dtype", "expected"),
    [
        ("cuda", torch.bfloat16, torch.float16),
        ("cuda", torch.float16, torch.float16),
        ("cuda", torch.float32, torch.float32),
        ("cpu", torch.bfloat16, torch.float32),
        ("cpu", torch.float32, torch.float32),
    ],
)
def test_gpu_with_a_16_bit_engine_decodes_in_float16(device: str, dtype: torch.dtype, expected: torch.dtype) -> None:
    assert working_dtype(torch.device(device), dtype) == expected


def test_published_file_is_decoded_as_by_the_package(model_dir: Path, package: Callable[[torch.dtype], Any]) -> None:
    weights = Weights.load(model_dir / "Qwen3-TTS-12Hz-0.6B-Base", dtype=torch.bfloat16)
    decoder = CodecDecoder.load(weights)
    assert decoder.dtype == torch.float32
    codes = random_codes(1, 2)
    expected = decode(StreamingCodec(converted(package(torch.float32)), slots=1), [0], codes)
    assert torch.equal(decode(StreamingCodec(decoder, slots=1), [0], codes), expected)


def test_encoder_of_the_codec_is_not_read(model_dir: Path) -> None:
    folder = model_dir / "Qwen3-TTS-12Hz-0.6B-Base" / "speech_tokenizer"
    decoder = core.Qwen3TTSTokenizerV2Model.from_pretrained(folder).decoder
    assert CodecWeights.load(folder, torch.device("cpu")).tensors.keys() == decoder.state_dict().keys()


def test_missing_tensor_of_the_codec_is_named(package: Callable[[torch.dtype], Any]) -> None:
    stock = package(torch.float32)
    tensors = stock.state_dict()
    del tensors["decoder.2.block.0.alpha"]
    with pytest.raises(UnreadableCheckpointError, match=r"no tensor decoder\.2\.block\.0\.alpha"):
        CodecDecoder(CodecWeights(tensors, stock.config.to_dict()), torch.float32)


def test_folder_without_a_codec_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableCheckpointError, match=r"config\.json is not of a Qwen3-TTS codec"):
        CodecWeights.load(tmp_path, torch.device("cpu"))
    (tmp_path / "config.json").write_text('{"decoder_config": {}}')
    with pytest.raises(UnreadableCheckpointError, match="no tensors of the codec's decoder"):
        CodecWeights.load(tmp_path, torch.device("cpu"))


def test_decoder_with_other_scales_norms_and_proportions_equals_the_package(
    package: Callable[[torch.dtype], Any],
) -> None:
    stock = another_decoder(package(torch.float64))
    codes = random_codes(2, 30)
    codes[:, ::3, 0] = 1
    expected = whole(stock, codes)
    codec = StreamingCodec(converted(stock), slots=2)
    samples = torch.cat([decode(codec, [1, 0], part) for part in codes.split([1, 2, 9, 10, 8], dim=1)], dim=1)
    assert 0.1 < expected.abs().max() < 1
    torch.testing.assert_close(samples, expected, **EXACT)


def rms(difference: Tensor) -> float:
    return float(difference.double().square().mean().sqrt())


def test_reset_slot_keeps_nothing_of_its_last_stream_and_leaves_others_alone(
    decoder: CodecDecoder, recordings: tuple[Tensor, Tensor]
) -> None:
    codes, samples = recordings
    codec = StreamingCodec(decoder, slots=2)
    decode(codec, [0, 1], codes[:2, :50])
    codec.reset(0)
    torch.testing.assert_close(decode(codec, [0], codes[2:])[0], samples[2], **EXACT)
    torch.testing.assert_close(decode(codec, [1], codes[1:2, 50:])[0], samples[1, 50 * 1920 :], **EXACT)


def test_state_can_be_restored_in_any_slot_of_any_codec_repeatedly(
    decoder: CodecDecoder, recordings: tuple[Tensor, Tensor]
) -> None:
    codes, samples = recordings
    state = decoder.state_after(codes[0, :80])
    for codec in (StreamingCodec(decoder, slots=1), StreamingCodec(decoder, slots=3)):
        for slot in (0, codec.slots - 1):
            decode(codec, [slot], codes[1:2, :7])
            codec.reset(slot, state)
            torch.testing.assert_close(decode(codec, [slot], codes[:1, 80:])[0], samples[0, 80 * 1920 :], **EXACT)


@pytest.mark.parametrize("frames", [1, 9, 10, 11, 60])
def test_state_after_codes_equals_the_state_of_a_decoded_stream(
    decoder: CodecDecoder, recordings: tuple[Tensor, Tensor], frames: int
) -> None:
    codes, samples = recordings
    codec = StreamingCodec(decoder, slots=2)
    codec.reset(1, decoder.state_after(codes[0, :frames]))
    audio = decode(codec, [1], codes[:1, frames:])
    torch.testing.assert_close(audio[0], samples[0, frames * 1920 :], **EXACT)


def test_state_nbytes_counts_values_and_frames(decoder: CodecDecoder) -> None:
    state = decoder.state_after(random_codes(1, 1)[0])
    assert state.nbytes == state.values.numel() * 8 + 8


@pytest.mark.parametrize(("streams", "rows"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 6), (6, 6)])
def test_padding_rows_do_not_change_the_other_rows(decoder: CodecDecoder, streams: int, rows: int) -> None:
    """To the bit: a padded batch gives the same samples as one with as many real streams."""
    codes, slots = random_codes(6, 6), [5, 0, 3, 1, 4, 2]
    filled, full = StreamingCodec(decoder, slots=6, graphs=TracedGraphs()), StreamingCodec(decoder, slots=6)
    for part in codes.split([2, 4], dim=1):
        audio = decode(filled, slots[:streams], part[:streams])
        assert torch.equal(audio, decode(full, slots[:rows], part[:rows])[:streams])


def test_capture_covers_all_shapes_and_changes_no_slot(
    decoder: CodecDecoder, recordings: tuple[Tensor, Tensor]
) -> None:
    codes, samples = recordings
    graphs = TracedGraphs()
    codec = StreamingCodec(decoder, slots=6, graphs=graphs)
    codec.reset(4, decoder.state_after(codes[0, :20]))
    progress: list[tuple[int, int]] = []
    codec.capture([3, 2], lambda done, total: progress.append((done, total)))
    assert progress == [(number, 8) for number in range(1, 9)]  # 1, 2, 4 and 6 rows
    assert len(graphs) == 8
    audio = [decode(codec, [4, 1, 0], torch.stack([codes[0, 20:22], codes[1, :2], codes[2, :2]]))]
    audio.append(decode(codec, [4], codes[:1, 22:25]))
    torch.testing.assert_close(
        audio[0], torch.stack([samples[0, 20 * 1920 : 22 * 1920], *samples[1:, : 2 * 1920]]), **EXACT
    )
    torch.testing.assert_close(audio[1][0], samples[0, 22 * 1920 : 25 * 1920], **EXACT)
    assert len(graphs) == 8


def test_uncaptured_shape_is_captured_at_its_first_decode(
    decoder: CodecDecoder, recordings: tuple[Tensor, Tensor]
) -> None:
    codes, samples = recordings
    codec = StreamingCodec(decoder, slots=3, graphs=TracedGraphs())
    torch.testing.assert_close(in_chunks(codec, 2, codes[0], 10, 20, 20, 50), samples[0], **EXACT)


def test_audio_being_copied_is_not_overwritten_by_the_next_decode(
    decoder: CodecDecoder, recordings: tuple[Tensor, Tensor]
) -> None:
    codes, samples = recordings
    codec = StreamingCodec(decoder, slots=1, graphs=TracedGraphs())
    on_their_way = [codec.decode([0], part.numpy()) for part in codes[:1].split([1, 2, 1, 96], dim=1)]
    audio = np.concatenate([transfer.wait() for transfer in on_their_way], axis=1)
    torch.testing.assert_close(torch.from_numpy(audio), samples[:1], **EXACT)


def test_decode_reads_nothing_back_from_the_device(package: Callable[[torch.dtype], Any]) -> None:
    """Tensors of the device `meta` have shapes and no values: reading a value fails."""
    decoder = converted(package(torch.float32).to("meta"))
    codec = StreamingCodec(decoder, slots=4)
    codes = random_codes(2, 5)
    codec.decode([3, 1], codes.numpy())
    codec.reset(1, decoder.state_after(codes[0].to("meta")))
    codec.reset(2)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type is yarn"),
        ({"hidden_act": "gelu"}, "hidden_act is gelu"),
        ({"attention_bias": True}, "attention_bias is True"),
    ],
)
def test_unsupported_config_of_the_codec_is_rejected(
    package: Callable[[torch.dtype], Any], values: dict[str, Any], named: str
) -> None:
    stock = package(torch.float32)
    with pytest.raises(UnreadableCheckpointError, match=named):
        CodecDecoder(CodecWeights(stock.state_dict(), {**stock.config.to_dict(), **values}), torch.float32)
