"""The plan for settings and a machine; `nvidia-smi` is a shell script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor import gpus
from supervisor import settings as settings_module
from supervisor.plan import Plan
from supervisor.settings import Settings
from tests.unit.supervisor.conftest import NvidiaSmi
from tritone.catalogue import UnknownModelError
from tritone.settings import UnusableSettingError

A100 = "40000, 8.0, NVIDIA A100-SXM4-40GB"
MX130 = "300, 5.0, NVIDIA GeForce MX130"
CONFIG = '{"tts_model_type": "%s", "tts_model_size": "%s", "talker_config": {"codec_language_id": {}}}'


@pytest.fixture(autouse=True)
def no_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings_module, "ENV_FILE", tmp_path / ".env")
    for name in ("WHISPER_COMPUTE_TYPE", "DTYPE", "QWEN_ENGINE", "QWEN_SLOTS", "QWEN_KV_POSITIONS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A CustomVoice checkpoint of 0.6B, as far as its config."""
    folder = tmp_path / "minsu"
    folder.mkdir()
    (folder / "config.json").write_text(CONFIG % ("custom_voice", "0b6"))
    return folder


def ids(plan: Plan) -> list[str]:
    return [model.id for model in plan.models]


def test_a_model_type_alone_chooses_its_models_on_a_cpu_too(settings: Callable[..., Settings]) -> None:
    plan = Plan.make(settings(model_type="0.6b", stt_models=("none",), device="cpu"))
    assert ids(plan) == ["qwen3-tts-0.6b", "qwen3-tts-0.6b-clone"]
    assert plan.environments[0] == "qwen"


def test_an_unknown_model_type_is_rejected(settings: Callable[..., Settings]) -> None:
    with pytest.raises(UnknownModelError, match="MODEL_TYPE: '7b' is unknown"):
        Plan.make(settings(model_type="7b"))


def test_a_gpu_serves_the_models_that_fit_with_a_note(settings: Callable[..., Settings], nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi(A100)
    plan = Plan.make(settings())
    assert plan.device == "cuda"
    assert ids(plan) == ["qwen3-tts-1.7b", "qwen3-tts-1.7b-clone", "whisper-large-v3-turbo"]
    assert "38.0 GB on NVIDIA A100-SXM4-40GB (39.1 GB free), 16 slots of 6144 positions" in plan.notes[0]
    assert (plan.variables()["QWEN_SLOTS"], plan.variables()["QWEN_KV_POSITIONS"]) == ("16", "6144")


@pytest.mark.parametrize(
    ("card", "size", "slots", "positions"),
    [
        ("11900, 8.6, NVIDIA GeForce RTX 3060", "0.6b", "4", "2048"),
        ("23900, 8.6, NVIDIA GeForce RTX 3090", "1.7b", "5", "6144"),
    ],
)
def test_a_small_gpu_gets_fewer_and_shorter_slots(
    settings: Callable[..., Settings], nvidia_smi: NvidiaSmi, card: str, size: str, slots: str, positions: str
) -> None:
    nvidia_smi(card)
    plan = Plan.make(settings())
    assert ids(plan)[:2] == [f"qwen3-tts-{size}", f"qwen3-tts-{size}-clone"]
    assert (plan.variables()["QWEN_SLOTS"], plan.variables()["QWEN_KV_POSITIONS"]) == (slots, positions)


def test_the_published_package_counts_its_own_memory(
    settings: Callable[..., Settings], nvidia_smi: NvidiaSmi, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(A100)
    monkeypatch.setenv("QWEN_ENGINE", "stock")
    plan = Plan.make(settings())
    assert "12.0 GB on NVIDIA A100-SXM4-40GB" in plan.notes[0]
    assert "QWEN_SLOTS" not in plan.variables()


def test_a_setting_overrides_the_slots_that_memory_decides(
    settings: Callable[..., Settings], nvidia_smi: NvidiaSmi, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(A100)
    monkeypatch.setenv("QWEN_SLOTS", "3")
    assert Plan.make(settings()).variables()["QWEN_SLOTS"] == "3"
    monkeypatch.setenv("QWEN_SLOTS", "three")
    with pytest.raises(UnusableSettingError, match="QWEN_SLOTS=three must be a whole number"):
        Plan.make(settings())


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_gpu_is_not_used(
    settings: Callable[..., Settings], nvidia_smi: NvidiaSmi, hidden: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(A100)
    monkeypatch.setattr(gpus, "present", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    plan = Plan.make(settings())
    assert (plan.device, ids(plan)) == ("cpu", ["kokoro-82m", "whisper-base"])


def test_a_gpu_that_no_model_fits_is_not_used(settings: Callable[..., Settings], nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi(MX130)
    plan = Plan.make(settings())
    assert (plan.device, ids(plan)) == ("cpu", ["kokoro-82m", "whisper-base"])
    assert plan.notes[-1] == "the models run on the CPU"
    assert Plan.make(settings(device="cuda")).device == "cuda"
    assert Plan.make(settings(tts_modes=("kokoro",), stt_models=("base",))).device == "cuda"


def test_a_gpu_of_unknown_memory_serves_the_embedded_defaults(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "present", lambda: True)
    plan = Plan.make(settings())
    assert (plan.device, ids(plan)) == ("cuda", ["kokoro-82m", "whisper-base"])
    assert plan.notes[0].startswith("nvidia-smi reports no GPU memory")


def test_a_required_but_hidden_gpu_is_warned_of(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    plan = Plan.make(settings(device="cuda"))
    assert plan.notes == ("warning: DEVICE=cuda, but no GPU is visible",)


def test_little_memory_makes_whisper_compute_in_int8_unless_a_setting_fixes_it(
    settings: Callable[..., Settings], nvidia_smi: NvidiaSmi, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi("1400, 8.0, NVIDIA A2")
    assert Plan.make(settings()).variables()["WHISPER_COMPUTE_TYPE"] == "int8_float16"
    monkeypatch.setenv("WHISPER_COMPUTE_TYPE", "int8")
    assert Plan.make(settings()).variables()["WHISPER_COMPUTE_TYPE"] == "int8"


def test_gpus_are_numbered_as_by_the_driver(settings: Callable[..., Settings]) -> None:
    assert Plan.make(settings(device="cpu")).variables()["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_an_extra_checkpoint_is_served_beside_the_chosen_models(
    settings: Callable[..., Settings], checkpoint: Path
) -> None:
    plan = Plan.make(settings(device="cpu", extra_models=f"minsu={checkpoint}"))
    assert ids(plan) == ["kokoro-82m", "whisper-base", "minsu"]
    model = plan.models[-1]
    assert (model.mode, model.size, model.environment) == ("custom_voice", "0.6b", "qwen")
    assert (plan.templates, plan.checkpoints) == ({"minsu": "qwen3-tts-0.6b"}, {"minsu": checkpoint})


def test_companions_are_loaded_with_the_models_that_need_them(settings: Callable[..., Settings]) -> None:
    plan = Plan.make(settings(device="cpu"))
    assert [model.id for model in plan.loaded] == ["kokoro-82m", "whisper-base", "tritone", "transcription-long"]
    assert set(plan.environments) >= {"kokoro", "whisper", "supervisor", "windowing"}
    speech = Plan.make(settings(device="cpu", stt_models=("none",)))
    assert [model.id for model in speech.loaded] == ["kokoro-82m", "tritone"]
    assert "windowing" not in speech.environments


@pytest.mark.parametrize(("webrtc", "environment"), [(False, "gateway"), (True, "webrtc")])
def test_the_gateway_runs_in_the_environment_that_it_needs(
    settings: Callable[..., Settings], webrtc: bool, environment: str
) -> None:
    plan = Plan.make(settings(device="cpu", webrtc=webrtc))
    assert {"gateway", "webrtc"} & set(plan.environments) == {environment}
    assert {Path(command[0]).parts[-3] for command in (plan.gateway, plan.worker, plan.queue_worker)} == {environment}


def test_the_models_of_an_extra_family_can_be_chosen(
    settings: Callable[..., Settings], extra_family: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXTRA_FAMILIES", str(extra_family))
    plan = Plan.make(settings(device="cpu", tts_modes=("bark-small",), stt_models=("none",)))
    assert (ids(plan), plan.environments[0]) == (["bark-small"], "bark")


def test_an_extra_checkpoint_may_be_served_alone(settings: Callable[..., Settings], checkpoint: Path) -> None:
    chosen = settings(device="cpu", tts_modes=("none",), stt_models=("none",), extra_models=f"minsu={checkpoint}")
    assert ids(Plan.make(chosen)) == ["minsu"]


def test_a_model_made_by_hand_in_the_repository_names_its_checkpoint(
    settings: Callable[..., Settings], checkpoint: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model_repository" / "yuna"
    model.mkdir(parents=True)
    (model / "config.pbtxt").write_text(
        'name: "yuna"\nparameters { key: "checkpoint" value { string_value: "minsu" } }'
    )
    chosen = settings(device="cpu", extra_models="yuna", model_dir=tmp_path)
    plan = Plan.make(chosen, tmp_path / "model_repository")
    assert plan.templates == {"yuna": "qwen3-tts-0.6b"}


@pytest.mark.parametrize(
    ("extra", "right"),
    [
        ("minsu={folder}/none", "EXTRA_MODELS: minsu: .*config.json is missing; put a checkpoint there"),
        ("minsu", "set minsu=FOLDER"),
        ("tts-1={folder}/minsu", "'tts-1' is already in use"),
        ("kokoro-82m={folder}/minsu", "'kokoro-82m' is already in use"),
    ],
)
def test_an_unusable_extra_checkpoint_is_an_error(
    settings: Callable[..., Settings], checkpoint: Path, extra: str, right: str
) -> None:
    with pytest.raises(UnknownModelError, match=right):
        Plan.make(settings(device="cpu", extra_models=extra.format(folder=checkpoint.parent)))


def test_an_unknown_kind_of_checkpoint_is_an_error(settings: Callable[..., Settings], checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text(CONFIG % ("voice_design", "0b6"))
    with pytest.raises(
        UnknownModelError,
        match=r"minsu: .*tts_model_type='voice_design', tts_model_size='0b6'; no known model is like it",
    ):
        Plan.make(settings(device="cpu", extra_models=f"minsu={checkpoint}"))


def test_instances_of_a_model_that_is_not_served_are_rejected(settings: Callable[..., Settings]) -> None:
    with pytest.raises(UnknownModelError, match="MODEL_INSTANCES: not served: whisper"):
        Plan.make(settings(device="cpu", model_instances="whisper=2"))
    with pytest.raises(UnknownModelError, match="IDLE_TIMEOUT: not served: whisper"):
        Plan.make(settings(device="cpu", idle_timeout="whisper=2"))
