from __future__ import annotations

from collections.abc import Callable

import pytest

from supervisor.plan import Plan
from supervisor.settings import Settings
from tritone.catalogue import UnknownModelError


def test_a_model_type_alone_chooses_qwen_on_a_cpu_too(settings: Callable[..., Settings]) -> None:
    plan = Plan.make(settings(model_type="0.6b", stt_models=("none",), device="cpu"))
    assert [model.id for model in plan.models] == ["qwen3-tts-0.6b", "qwen3-tts-0.6b-clone"]
    assert plan.environments[0] == "qwen"
    assert plan.variables()["TTS_MODES"] == "qwen3-tts-0.6b,qwen3-tts-0.6b-clone"


def test_an_unknown_model_type_is_refused(settings: Callable[..., Settings]) -> None:
    with pytest.raises(UnknownModelError, match="MODEL_TYPE: '7b' is unknown"):
        Plan.make(settings(model_type="7b"))
