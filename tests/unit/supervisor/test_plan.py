"""What the settings come to."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.plan import Plan
from supervisor.settings import Settings
from tritone.catalogue import Catalogue


def test_model_type_alone_chooses_qwen_on_any_device_and_the_gateway_is_told_the_same(
    settings: Callable[..., Settings],
) -> None:
    plan = Plan.make(settings(model_type="0.6b", stt_models=("none",), device="cpu"))
    ids = ["qwen3-tts-0.6b", "qwen3-tts-0.6b-clone"]
    assert [model.id for model in plan.models] == ids
    told = plan.variables()
    assert (told["TTS_MODES"], told["STT_MODELS"]) == (",".join(ids), "none")
    assert [model.id for model in Catalogue.load().choose(told["TTS_MODES"].split(","), ["none"])] == ids


def test_modes_are_chosen_in_the_size_of_the_model_type(settings: Callable[..., Settings]) -> None:
    plan = Plan.make(settings(model_type="both", tts_modes=("all",), stt_models=("none",)))
    assert [model.id for model in plan.models] == [
        "qwen3-tts-0.6b",
        "qwen3-tts-1.7b",
        "qwen3-tts-1.7b-design",
        "qwen3-tts-0.6b-clone",
        "qwen3-tts-1.7b-clone",
    ]
