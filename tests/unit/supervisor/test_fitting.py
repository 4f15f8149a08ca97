"""What a GPU has room for, in the order of the catalogue's preferences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from supervisor.fitting import Fit, fit
from supervisor.gpus import Gpu
from supervisor.memory import Arena, EngineMemory
from supervisor.settings import Settings
from tritone.catalogue import Catalogue

FULL = Catalogue.load()
CATALOGUE = replace(FULL, preferences={**FULL.preferences, "stt": (("whisper-base",),)})
"""The catalogue as it were if Whisper had one size."""
LARGE = ["qwen3-tts-1.7b", "qwen3-tts-1.7b-clone", "whisper-base"]
SMALL = ["qwen3-tts-0.6b", "qwen3-tts-0.6b-clone", "whisper-base"]
SMALLEST = ["qwen3-tts-0.6b", "whisper-base"]
MODEST = ["kokoro-82m", "whisper-base"]
ENGINE = EngineMemory()
"""The in-flight engine, of which no setting says anything. Without it, the published package speaks."""


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
def test_speech_has_room_first_and_whisper_gives_way(
    settings: Callable[..., Settings],
    free: float,
    capability: tuple[int, int],
    chosen: list[str],
    compute_type: str,
) -> None:
    found = fit(CATALOGUE, settings(), [gpu(free, capability)])
    assert [model.id for model in found.models] == sorted(chosen, key=list(CATALOGUE.models).index)
    assert found.compute_type == compute_type
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
def test_whisper_goes_to_int8_and_then_to_a_smaller_one(
    settings: Callable[..., Settings], free: float, whisper: str, compute_type: str
) -> None:
    found = fit(FULL, settings(), [gpu(free)])
    assert [model.id for model in found.models] == [*LARGE[:2], whisper]
    assert found.compute_type == compute_type


def told(found: Fit) -> tuple[str, int, int, str]:
    """The size of Qwen3-TTS, its streams, what each holds, and Whisper."""
    assert found.arena is not None
    assert found.fits
    return found.models[0].size, found.arena.slots, found.arena.positions, found.models[-1].id


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
def test_the_engine_has_a_few_streams_first_then_long_ones_then_many(
    settings: Callable[..., Settings], free: float, expected: tuple[str, int, int, str]
) -> None:
    assert told(fit(FULL, settings(), [gpu(free)], engine=ENGINE)) == expected


def test_models_that_leave_no_room_for_a_few_streams_give_way(settings: Callable[..., Settings]) -> None:
    assert told(fit(FULL, settings(), [gpu(7.6)], engine=ENGINE)) == ("0.6b", 4, 2048, "whisper-large-v3-turbo")
    found = fit(FULL, settings(), [gpu(4.5)], engine=ENGINE)
    assert [model.id for model in found.models] == ["kokoro-82m", "whisper-large-v3-turbo"]
    assert found.arena is None


@pytest.mark.parametrize(
    ("engine", "arena"),
    [
        (EngineMemory(slots=2), Arena(2, 6144)),
        (EngineMemory(positions=1000), Arena(16, 1000)),
        (EngineMemory(slots=20, positions=512), Arena(20, 512)),
        (EngineMemory(number=4, voices=0), Arena(5, 4096)),
    ],
)
def test_room_is_made_for_the_streams_that_the_settings_ask_for(
    settings: Callable[..., Settings], engine: EngineMemory, arena: Arena
) -> None:
    asked = settings(tts_modes=("voice_clone",), model_type="1.7b", stt_models=("none",))
    assert fit(FULL, asked, [gpu(16.0)], engine=engine).arena == arena


def test_more_streams_than_there_is_room_for_are_made_with_a_warning(settings: Callable[..., Settings]) -> None:
    asked = settings(tts_modes=("custom_voice",), model_type="1.7b", stt_models=("none",))
    found = fit(FULL, asked, [gpu(16.0)], engine=EngineMemory(slots=64, positions=6144))
    assert (found.fits, found.arena) == (False, Arena(64, 6144))
    assert "52.0 GB needed" in found.notes[0]


def test_an_instance_more_takes_streams_of_its_own(settings: Callable[..., Settings]) -> None:
    asked = settings(
        tts_modes=("custom_voice",), model_type="1.7b", stt_models=("none",), model_instances="qwen3-tts-1.7b=2"
    )
    assert fit(FULL, asked, [gpu(23.6)], engine=ENGINE).arena == Arena(8, 6144)


def test_the_streams_are_told(settings: Callable[..., Settings]) -> None:
    (note,) = fit(FULL, settings(), [gpu(23.6)], engine=ENGINE).notes
    assert note.endswith("22.3 GB on GPU (23.6 GB free), with 5 streams a Qwen3-TTS model, of 6144 positions")


def test_without_the_engine_there_is_nothing_to_leave_memory_for(settings: Callable[..., Settings]) -> None:
    assert fit(CATALOGUE, settings(tts_modes=("kokoro",)), [gpu(24)], engine=ENGINE).arena is None
    assert fit(CATALOGUE, settings(), [gpu(24)]).arena is None


def test_the_figures_of_the_package_are_those_that_operators_know(settings: Callable[..., Settings]) -> None:
    def needed(modes: str, size: str) -> str:
        chosen = settings(tts_modes=modes.split(), model_type=size, stt_models=("none",))
        return fit(CATALOGUE, chosen, [gpu(80)]).notes[0].partition(": ")[2]

    assert needed("custom_voice voice_clone", "1.7b").startswith("9.5 GB on GPU")
    assert needed("all", "1.7b").startswith("14.0 GB")
    assert needed("all", "both").startswith("19.0 GB")


def test_the_choice_is_told_and_what_was_left_out_with_its_reason(settings: Callable[..., Settings]) -> None:
    told, left_out = fit(CATALOGUE, settings(), [gpu(6.6)]).notes
    assert told == "qwen3-tts-0.6b, qwen3-tts-0.6b-clone, whisper-base: 6.5 GB on GPU (6.6 GB free)"
    assert left_out == "left out: qwen3-tts-1.7b, qwen3-tts-1.7b-clone (10.3 GB needed)"
    told, left_out = fit(CATALOGUE, settings(), [gpu(10.4)]).notes
    assert told.startswith("qwen3-tts-1.7b, qwen3-tts-1.7b-clone, whisper-base (whisper-base in int8): 10.3 GB")
    assert left_out == "left out: whisper-base in float16 (10.5 GB needed)"
    _, left_out = fit(CATALOGUE, settings(), [gpu(24, (6, 1))]).notes
    assert "(compute capability 7.0 needed, 6.1 there)" in left_out


def test_the_gpu_with_the_least_room_decides_for_all(settings: Callable[..., Settings]) -> None:
    found = fit(CATALOGUE, settings(), [gpu(40), gpu(7)])
    assert found.models[0].id == "qwen3-tts-0.6b"
    assert "on each of 2 GPUs, the fullest GPU (7.0 GB free)" in found.notes[0]


def test_the_oldest_generation_decides_for_all(settings: Callable[..., Settings]) -> None:
    found = fit(CATALOGUE, settings(), [gpu(40), gpu(80, (6, 1))])
    assert [model.id for model in found.models] == MODEST


def test_what_is_asked_for_is_chosen_where_it_does_not_fit_with_a_warning(settings: Callable[..., Settings]) -> None:
    found = fit(CATALOGUE, settings(tts_modes=("all",), stt_models=("base",)), [gpu(8)])
    assert "qwen3-tts-1.7b-design" in [model.id for model in found.models]
    assert not found.fits
    (warning,) = found.notes
    assert warning.startswith("warning: qwen3-tts-1.7b")
    assert warning.endswith("GPU (8.0 GB free): 15.0 GB needed")


def test_what_is_asked_for_leaves_its_rest_to_the_defaults(settings: Callable[..., Settings]) -> None:
    found = fit(CATALOGUE, settings(stt_models=("none",)), [gpu(9.6)])
    assert [model.id for model in found.models] == LARGE[:2]


def test_whisper_is_not_made_smaller_where_a_setting_says_how_it_computes(settings: Callable[..., Settings]) -> None:
    found = fit(CATALOGUE, settings(), [gpu(10.4)], compute_type="float16")
    assert ([model.id for model in found.models], found.compute_type) == (SMALL, "float16")
    found = fit(CATALOGUE, settings(), [gpu(10.4)], compute_type="int8_float16")
    assert ([model.id for model in found.models], found.compute_type) == (LARGE, "int8_float16")


def test_further_models_and_further_instances_take_room_too(settings: Callable[..., Settings]) -> None:
    catalogue = CATALOGUE.with_extra({"minsu": "qwen3-tts-1.7b"})
    found = fit(catalogue, settings(), [gpu(12)], further=[catalogue.models["minsu"]])
    assert [model.id for model in found.models] == ["qwen3-tts-0.6b", "qwen3-tts-0.6b-clone", "whisper-base", "minsu"]
    found = fit(CATALOGUE, settings(model_instances={"whisper-base": "3"}), [gpu(11)])
    assert found.models[0].id == "qwen3-tts-0.6b"
