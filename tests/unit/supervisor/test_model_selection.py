"""The models that fit on a GPU, in the order of the catalogue's preferences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from supervisor.gpus import Gpu
from supervisor.model_selection import Selection, select_for_gpu
from supervisor.settings import Settings
from tritone.catalogue import Catalogue

FULL = Catalogue.load()
CATALOGUE = replace(FULL, preferences={**FULL.preferences, "stt": (("whisper-base",),)})
"""The catalogue with one size of Whisper in the defaults."""
LARGE = ["qwen3-tts-1.7b", "qwen3-tts-1.7b-clone", "whisper-base"]
SMALL = ["qwen3-tts-0.6b", "qwen3-tts-0.6b-clone", "whisper-base"]
SMALLEST = ["qwen3-tts-0.6b", "whisper-base"]
MODEST = ["kokoro-82m", "whisper-base"]
STOCK = {"QWEN_ENGINE": "stock"}
"""The settings with which the memory of the published package counts, not that of the slot engine."""


def select(
    catalogue: Catalogue,
    settings: Settings,
    gpus: Sequence[Gpu],
    environ: Mapping[str, str] = STOCK,
    **further: Any,
) -> Selection:
    return select_for_gpu(catalogue, settings, gpus, environ=environ, **further)


def slots(found: Selection) -> tuple[int, int] | None:
    """The slots of each Qwen3-TTS model, and their positions; None if memory does not decide them."""
    names = ("QWEN_SLOTS", "QWEN_KV_POSITIONS")
    count, positions = (int(found.variables.get(name, 0)) for name in names)
    return (count, positions) if count else None


def gpu(free: float, capability: tuple[int, int] = (8, 0)) -> Gpu:
    return Gpu("GPU", capability, free)


@pytest.mark.parametrize(
    ("free", "capability", "chosen", "compute_type"),
    [
        (80.0, (8, 0), LARGE, ""),
        (10.5, (8, 0), LARGE, ""),
        (10.4, (8, 0), LARGE, "int8_float16"),
        (10.0, (8, 0), SMALL, ""),
        (6.4, (7, 5), SMALL, "int8_float16"),
        (6.0, (8, 0), SMALLEST, ""),
        (3.0, (8, 0), MODEST, ""),
        (1.4, (6, 1), MODEST, "int8"),
        (24.0, (6, 1), MODEST, ""),
    ],
)
def test_speech_is_chosen_first_and_whisper_is_reduced(
    settings: Callable[..., Settings],
    free: float,
    capability: tuple[int, int],
    chosen: list[str],
    compute_type: str,
) -> None:
    found = select(CATALOGUE, settings(), [gpu(free, capability)])
    assert [model.id for model in found.models] == sorted(chosen, key=list(CATALOGUE.models).index)
    assert found.variables.get("WHISPER_COMPUTE_TYPE", "") == compute_type
    assert found.fits


@pytest.mark.parametrize(
    ("free", "whisper", "compute_type"),
    [
        (80.0, "whisper-large-v3-turbo", ""),
        (11.2, "whisper-large-v3-turbo", "int8_float16"),
        (11.0, "whisper-small", ""),
        (10.4, "whisper-base", "int8_float16"),
    ],
)
def test_whisper_is_reduced_to_int8_and_then_to_a_smaller_model(
    settings: Callable[..., Settings], free: float, whisper: str, compute_type: str
) -> None:
    found = select(FULL, settings(), [gpu(free)])
    assert [model.id for model in found.models] == [*LARGE[:2], whisper]
    assert found.variables.get("WHISPER_COMPUTE_TYPE", "") == compute_type


def summary(found: Selection) -> tuple[str, int, int, str]:
    """The size of Qwen3-TTS, its slots, their positions, and Whisper."""
    chosen = slots(found)
    assert chosen is not None
    assert found.fits
    whisper = next(model.id for model in found.models if model.kind == "transcription")
    return next(model.size for model in found.models if model.size), *chosen, whisper


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        (139.0, ("1.7b", 16, 6144, "whisper-large-v3-turbo")),
        (23.6, ("1.7b", 5, 6144, "whisper-large-v3-turbo")),
        (19.2, ("1.7b", 4, 4096, "whisper-large-v3-turbo")),
        (15.2, ("1.7b", 4, 2048, "whisper-small")),
        (11.5, ("0.6b", 4, 2048, "whisper-small")),
    ],
)
def test_the_engine_gets_few_slots_first_then_long_ones_then_many(
    settings: Callable[..., Settings], free: float, expected: tuple[str, int, int, str]
) -> None:
    assert summary(select(FULL, settings(), [gpu(free)], {})) == expected


def test_models_without_memory_for_the_least_slots_are_left_out(settings: Callable[..., Settings]) -> None:
    assert summary(select(FULL, settings(), [gpu(7.6)], {})) == ("0.6b", 4, 2048, "whisper-large-v3-turbo")
    found = select(FULL, settings(), [gpu(4.5)], {})
    assert [model.id for model in found.models] == ["kokoro-82m", "whisper-large-v3-turbo"]
    assert slots(found) is None


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"QWEN_SLOTS": "2"}, (2, 6144)),
        ({"QWEN_KV_POSITIONS": "1000"}, (16, 1000)),
        ({"QWEN_SLOTS": "20", "QWEN_KV_POSITIONS": "512"}, (20, 512)),
        ({"DTYPE": "float32", "QWEN_VOICE_CACHE_MB": "0"}, (5, 4096)),
    ],
)
def test_memory_is_reserved_for_the_slots_that_settings_require(
    settings: Callable[..., Settings], environ: Mapping[str, str], expected: tuple[int, int]
) -> None:
    chosen = settings(tts_modes=("voice_clone",), model_type="1.7b", stt_models=("none",))
    assert slots(select(FULL, chosen, [gpu(16.0)], environ)) == expected


def test_more_slots_than_fit_are_kept_with_a_warning(settings: Callable[..., Settings]) -> None:
    chosen = settings(tts_modes=("custom_voice",), model_type="1.7b", stt_models=("none",))
    found = select(FULL, chosen, [gpu(16.0)], {"QWEN_SLOTS": "64", "QWEN_KV_POSITIONS": "6144"})
    assert (found.fits, slots(found)) == (False, (64, 6144))
    assert "52.0 GB needed" in found.notes[0]


def test_a_further_instance_has_slots_of_its_own(settings: Callable[..., Settings]) -> None:
    chosen = settings(
        tts_modes=("custom_voice",), model_type="1.7b", stt_models=("none",), model_instances="qwen3-tts-1.7b=2"
    )
    assert slots(select(FULL, chosen, [gpu(23.6)], {})) == (8, 6144)


def test_the_note_reports_the_slots(settings: Callable[..., Settings]) -> None:
    (note,) = select(FULL, settings(), [gpu(23.6)], {}).notes
    assert note.endswith("22.3 GB on GPU (23.6 GB free), 5 slots of 6144 positions in each qwen3_tts model")


def test_memory_decides_no_setting_without_the_slot_engine(settings: Callable[..., Settings]) -> None:
    assert select(CATALOGUE, settings(tts_modes=("kokoro",)), [gpu(24)], {}).variables == {}
    assert select(CATALOGUE, settings(), [gpu(24)]).variables == {}


def test_the_memory_of_the_published_package_is_unchanged(settings: Callable[..., Settings]) -> None:
    def needed(modes: str, size: str) -> str:
        chosen = settings(tts_modes=modes.split(), model_type=size, stt_models=("none",))
        return select(CATALOGUE, chosen, [gpu(80)]).notes[0].partition(": ")[2]

    assert needed("custom_voice voice_clone", "1.7b").startswith("9.5 GB on GPU")
    assert needed("all", "1.7b").startswith("14.0 GB")
    assert needed("all", "both").startswith("19.0 GB")


def test_the_notes_report_the_choice_and_the_models_left_out_with_the_reason(settings: Callable[..., Settings]) -> None:
    chosen, left_out = select(CATALOGUE, settings(), [gpu(6.6)]).notes
    assert chosen == "qwen3-tts-0.6b, qwen3-tts-0.6b-clone, whisper-base: 6.5 GB on GPU (6.6 GB free)"
    assert left_out == "left out: qwen3-tts-1.7b, qwen3-tts-1.7b-clone (10.3 GB needed)"
    chosen, left_out = select(CATALOGUE, settings(), [gpu(10.4)]).notes
    assert chosen.startswith("qwen3-tts-1.7b, qwen3-tts-1.7b-clone, whisper-base (whisper-base in int8): 10.3 GB")
    assert left_out == "left out: whisper-base in full precision (10.5 GB needed)"
    _, left_out = select(CATALOGUE, settings(), [gpu(24, (6, 1))]).notes
    assert "(needs compute capability 7.0, the GPU has 6.1)" in left_out


def test_the_gpu_with_the_least_free_memory_decides(settings: Callable[..., Settings]) -> None:
    found = select(CATALOGUE, settings(), [gpu(40), gpu(7)])
    assert found.models[0].id == "qwen3-tts-0.6b"
    assert "on each of 2 GPUs, the fullest GPU (7.0 GB free)" in found.notes[0]


def test_the_oldest_generation_decides(settings: Callable[..., Settings]) -> None:
    found = select(CATALOGUE, settings(), [gpu(40), gpu(80, (6, 1))])
    assert [model.id for model in found.models] == MODEST


def test_requested_models_that_do_not_fit_are_chosen_with_a_warning(settings: Callable[..., Settings]) -> None:
    found = select(CATALOGUE, settings(tts_modes=("all",), stt_models=("base",)), [gpu(8)])
    assert "qwen3-tts-1.7b-design" in [model.id for model in found.models]
    assert not found.fits
    (warning,) = found.notes
    assert warning.startswith("warning: qwen3-tts-1.7b")
    assert warning.endswith("GPU (8.0 GB free): 15.0 GB needed")


def test_a_setting_for_one_kind_leaves_the_other_to_the_defaults(settings: Callable[..., Settings]) -> None:
    found = select(CATALOGUE, settings(stt_models=("none",)), [gpu(9.6)])
    assert [model.id for model in found.models] == LARGE[:2]


@pytest.mark.parametrize("compute_type", ["int8_float16", "int8", "int8_float32", "INT8_BFLOAT16"])
def test_a_setting_fixes_the_precision_of_whisper(settings: Callable[..., Settings], compute_type: str) -> None:
    found = select(CATALOGUE, settings(), [gpu(10.4)], {**STOCK, "WHISPER_COMPUTE_TYPE": "float16"})
    assert ([model.id for model in found.models], found.variables) == (SMALL, {})
    found = select(CATALOGUE, settings(), [gpu(10.4)], {**STOCK, "WHISPER_COMPUTE_TYPE": compute_type})
    assert ([model.id for model in found.models], found.variables) == (LARGE, {})


def test_extra_models_and_further_instances_need_memory(settings: Callable[..., Settings]) -> None:
    catalogue = CATALOGUE.with_extra({"minsu": "qwen3-tts-1.7b"}, {})
    found = select(catalogue, settings(), [gpu(12)], extra=[catalogue.models["minsu"]])
    assert [model.id for model in found.models] == ["qwen3-tts-0.6b", "qwen3-tts-0.6b-clone", "whisper-base", "minsu"]
    found = select(CATALOGUE, settings(model_instances={"whisper-base": "3"}), [gpu(11)])
    assert found.models[0].id == "qwen3-tts-0.6b"
