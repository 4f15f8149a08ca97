"""Generated configurations, as Triton parses them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from supervisor import model_config
from supervisor.plan import REPOSITORY
from tritone.catalogue import Catalogue
from tritone.contract import INTERFACES
from tritone.families import Model

CATALOGUE = Catalogue.load({})
MODELS = [model for family in CATALOGUE.families.values() for model in family.models.values()]


def files(model: Model) -> dict[str, str]:
    return model_config.files(model, CATALOGUE.families[model.family])


def parsed(model: Model, path: str = model_config.CONFIG) -> model_config_pb2.ModelConfig:
    return text_format.Parse(files(model)[path], model_config_pb2.ModelConfig())


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_a_configuration_declares_the_tensors_of_the_contract(model: Model) -> None:
    config, interface = parsed(model), INTERFACES[model.interface]
    assert [tensor.name for tensor in config.input] == [tensor.name for tensor in interface.inputs]
    outputs = (*interface.outputs, *interface.final_outputs)
    assert [(t.name, list(t.dims)) for t in config.output] == [(t.name, list(t.shape)) for t in outputs]
    assert config.model_transaction_policy.decoupled == interface.decoupled
    assert config.parameters["EXECUTION_ENV_PATH"].string_value.endswith(f"/../../envs/{model.environment}")


@pytest.mark.parametrize("model", [model for model in MODELS if model.kind != "companion"], ids=lambda model: model.id)
def test_the_two_configurations_differ_only_in_the_device(model: Model) -> None:
    gpu, cpu = parsed(model), parsed(model, model_config.CPU_CONFIG)
    kinds = model_config_pb2.ModelInstanceGroup
    assert (gpu.instance_group[0].kind, cpu.instance_group[0].kind) == (kinds.KIND_GPU, kinds.KIND_CPU)
    cpu.instance_group[0].kind = kinds.KIND_GPU
    assert gpu == cpu


def test_a_companion_runs_on_the_cpu_on_every_machine() -> None:
    for model in CATALOGUE.companions:
        assert model_config.CPU_CONFIG not in files(model)
        assert parsed(model).instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_CPU


def test_a_batched_model_takes_ragged_batches_and_two_priorities_without_a_queue_policy() -> None:
    config = parsed(replace(CATALOGUE.models["whisper-base"], max_batch_size=7, max_queue_delay_us=900))
    assert config.max_batch_size == 7
    assert config.input[0].allow_ragged_batch
    batching = config.dynamic_batching
    assert (batching.max_queue_delay_microseconds, batching.priority_levels) == (900, 2)
    assert not batching.HasField("default_queue_policy")


def test_an_unbatched_model_schedules_its_requests_itself() -> None:
    config = parsed(CATALOGUE.models["qwen3-tts-1.7b-clone"])
    assert (config.max_batch_size, config.HasField("dynamic_batching")) == (0, False)
    assert {tensor.name: tensor.optional for tensor in config.input} == {"text": False, "ref_audio": True}


def test_a_parameter_is_escaped() -> None:
    config = text_format.Parse(model_config.parameter("path", 'a"b\\c'), model_config_pb2.ModelConfig())
    assert config.parameters["path"].string_value == 'a"b\\c'


def test_the_repository_of_the_clone_is_the_generated_one() -> None:
    generated = model_config.repository(CATALOGUE.families.values())
    files = [path for path in REPOSITORY.rglob("*") if path.suffix in (".pbtxt", ".py")]
    found = {path.relative_to(REPOSITORY): path.read_text(encoding="utf-8") for path in files}
    ours = {path: text for path, text in found.items() if text.startswith(model_config.HEADER) or path in generated}
    assert ours == generated, "run `python -m docs.generate`"
