"""The codec in chunks, against the package's decoder on whole recordings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.qwen3_tts.inflight.codec import CodecDecoder, StreamingCodec
from adapters.qwen3_tts.package import core

STREAMS, FRAMES = 3, 100
EXACT = {"atol": 1e-10, "rtol": 0}


@pytest.fixture(scope="module")
def package(model_dir: Path) -> Callable[[torch.dtype], Any]:
    """The package's decoder, in any precision."""
    folder = model_dir / "Qwen3-TTS-12Hz-0.6B-Base" / "speech_tokenizer"
    decoder = core.Qwen3TTSTokenizerV2Model.from_pretrained(folder).decoder.eval()
    return lambda dtype: copy.deepcopy(decoder).to(dtype)


@pytest.fixture(scope="module")
def decoder(package: Callable[[torch.dtype], Any]) -> CodecDecoder:
    return CodecDecoder(package(torch.float64))


def random_codes(streams: int, frames: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 64, (streams, frames, 16), generator=torch.Generator().manual_seed(seed))


def whole(package_decoder: Any, codes: Tensor) -> Tensor:
    """All samples at once, by the package."""
    with torch.inference_mode():
        return package_decoder(codes.transpose(1, 2))[:, 0]


def in_chunks(codec: StreamingCodec, slot: int, codes: Tensor, *sizes: int) -> Tensor:
    """The samples of one stream's codes (frames, 16)."""
    return torch.cat([codec.decode([slot], part[None])[0] for part in codes.split(sizes)])


@pytest.fixture(scope="module")
def recordings(package: Callable[[torch.dtype], Any]) -> tuple[Tensor, Tensor]:
    """Codes longer than the transformer's window, and their samples."""
    codes = random_codes(STREAMS, FRAMES)
    return codes, whole(package(torch.float64), codes)


chunks = st.tuples(st.sets(st.integers(0, STREAMS - 1), min_size=1), st.integers(1, 40))


@settings(max_examples=10, deadline=None)
@given(schedule=st.lists(chunks, max_size=12), slots=st.permutations(range(STREAMS + 1)))
def test_a_stream_in_any_chunks_and_any_company_is_as_in_one_piece(
    decoder: CodecDecoder,
    recordings: tuple[Tensor, Tensor],
    schedule: list[tuple[set[int], int]],
    slots: list[int],
) -> None:
    codes, samples = recordings
    codec = StreamingCodec(decoder, slots=STREAMS + 1)
    heard: list[list[Tensor]] = [[] for _ in range(STREAMS)]
    done = [0] * STREAMS
    for together, frames in [*schedule, *(({stream}, FRAMES) for stream in range(STREAMS))]:
        streams = [stream for stream in together if done[stream] < FRAMES]
        if streams:
            size = min(frames, *(FRAMES - done[stream] for stream in streams))
            part = torch.stack([codes[stream, done[stream] : done[stream] + size] for stream in streams])
            for stream, audio in zip(streams, codec.decode([slots[stream] for stream in streams], part), strict=True):
                heard[stream].append(audio)
                done[stream] += size
    for audio, expected in zip(heard, samples, strict=True):
        torch.testing.assert_close(torch.cat(audio), expected, **EXACT)


def test_a_long_stream_is_as_in_one_piece(decoder: CodecDecoder, package: Callable[[torch.dtype], Any]) -> None:
    codes = random_codes(1, 340)
    samples = in_chunks(StreamingCodec(decoder, slots=1), 0, codes[0], 1, 2, 4, 8, *[12] * 25, 25)
    torch.testing.assert_close(samples, whole(package(torch.float64), codes)[0], **EXACT)


def test_in_single_precision_it_is_the_packages_audio_to_less_than_a_16_bit_step(
    package: Callable[[torch.dtype], Any], recordings: tuple[Tensor, Tensor]
) -> None:
    codes, exact = recordings
    stock = package(torch.float32)
    expected = whole(stock, codes)
    samples = StreamingCodec(CodecDecoder(stock), slots=STREAMS).decode(range(STREAMS), codes)
    torch.testing.assert_close(samples, expected, atol=2e-5, rtol=0)
    assert rms(samples - expected) < 1e-6
    assert rms(samples - exact) < 1.1 * rms(expected - exact)


def test_in_half_precision_it_is_as_near_to_the_truth_as_the_package(
    package: Callable[[torch.dtype], Any], recordings: tuple[Tensor, Tensor]
) -> None:
    codes, exact = recordings
    stock = package(torch.bfloat16)
    samples = StreamingCodec(CodecDecoder(stock), slots=STREAMS).decode(range(STREAMS), codes)
    assert samples.dtype == torch.bfloat16
    assert rms(samples - exact) < 1.1 * rms(whole(stock, codes) - exact)


def test_scales_norms_and_proportions_are_as_the_decoder_has_them(package: Callable[[torch.dtype], Any]) -> None:
    """As in the published one, heads are wider than the layers; beyond it, they share keys, and the window is short."""
    config = copy.deepcopy(package(torch.float64).config)
    config.num_attention_heads, config.num_key_value_heads, config.head_dim, config.sliding_window = 6, 2, 4, 9
    torch.manual_seed(0)
    stock = type(package(torch.float64))._from_config(config).double().eval()
    for weight in stock.parameters():  # every scale and norm is another number
        if weight.dim() == 1:
            torch.nn.init.uniform_(weight, 0.2, 1)
        else:
            torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    book = stock.quantizer.rvq_first.vq.layers[0]._codebook
    book.cluster_usage.data[:2] = 0  # entries that training never used
    book.embedding_sum.data[:2] *= book.epsilon
    codes = random_codes(2, 30)
    codes[:, ::3, 0] = 1
    expected = whole(stock, codes)
    codec = StreamingCodec(CodecDecoder(stock), slots=2)
    samples = torch.cat([codec.decode([1, 0], part) for part in codes.split([1, 2, 9, 10, 8], dim=1)], dim=1)
    assert 0.01 < rms(expected) < 1
    torch.testing.assert_close(samples, expected, **EXACT)


def rms(difference: Tensor) -> float:
    return float(difference.double().square().mean().sqrt())


def test_a_slot_that_is_reset_knows_nothing_of_its_last_stream_and_others_do_not_notice(
    decoder: CodecDecoder, recordings: tuple[Tensor, Tensor]
) -> None:
    codes, samples = recordings
    codec = StreamingCodec(decoder, slots=2)
    codec.decode([0, 1], codes[:2, :50])
    codec.reset(0)
    torch.testing.assert_close(codec.decode([0], codes[2:])[0], samples[2], **EXACT)
    torch.testing.assert_close(codec.decode([1], codes[1:2, 50:])[0], samples[1, 50 * 1920 :], **EXACT)


def test_a_saved_state_goes_on_in_any_slot_of_any_codec_and_as_often_as_wanted(
    decoder: CodecDecoder, recordings: tuple[Tensor, Tensor]
) -> None:
    codes, samples = recordings
    codec, other = StreamingCodec(decoder, slots=1), StreamingCodec(decoder, slots=3)
    codec.decode([0], codes[:1, :80])
    state = codec.save(0)
    codec.decode([0], codes[:1])
    for slot in (2, 0):
        other.decode([slot], codes[1:2, :7])
        other.reset(slot, state)
        torch.testing.assert_close(other.decode([slot], codes[:1, 80:])[0], samples[0, 80 * 1920 :], **EXACT)


def test_a_saved_state_says_what_it_holds(decoder: CodecDecoder) -> None:
    state = StreamingCodec(decoder, slots=1).save(0)
    assert state.nbytes == state.values.numel() * 8 + 8


@pytest.mark.parametrize("before", [1, 20])
@pytest.mark.parametrize("skipped", [1, 9, 10, 11, 60])
def test_skipped_codes_leave_the_state_that_decoded_ones_do(
    decoder: CodecDecoder, recordings: tuple[Tensor, Tensor], before: int, skipped: int
) -> None:
    codes, samples = recordings
    codec = StreamingCodec(decoder, slots=2)
    codec.decode([1], codes[:1, :before])
    codec.skip([1], codes[:1, before : before + skipped])
    audio = codec.decode([1], codes[:1, before + skipped :])
    torch.testing.assert_close(audio[0], samples[0, (before + skipped) * 1920 :], **EXACT)


def test_nothing_is_read_back_from_the_device(package: Callable[[torch.dtype], Any]) -> None:
    """Tensors of the device `meta` have shapes and no numbers: whoever asks for one of those fails."""
    codec = StreamingCodec(CodecDecoder(package(torch.float32).to("meta")), slots=4)
    codes = random_codes(2, 5).to("meta")
    assert codec.decode([3, 1], codes).shape == (2, 5 * 1920)
    codec.skip([0, 2], codes)
    codec.reset(1, codec.save(3))
    codec.reset(2)


def test_a_rope_that_it_does_not_compute_is_refused(package: Callable[[torch.dtype], Any]) -> None:
    stock = package(torch.float32)
    stock.pre_transformer.rotary_emb.rope_type = "yarn"
    with pytest.raises(ValueError, match="yarn"):
        CodecDecoder(stock)
