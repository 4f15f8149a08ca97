"""The GPUs that `nvidia-smi` reports; a shell script stands in for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor import gpus
from supervisor.gpus import Gpu
from tests.unit.supervisor.conftest import NvidiaSmi

A100 = "40000, 8.0, NVIDIA A100-SXM4-40GB"
T4 = "14910, 7.5, Tesla T4"


def test_each_gpu_has_its_generation_and_its_free_memory(nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi(A100, T4)
    a100, t4 = gpus.visible(dict(os.environ)) or []
    assert (a100.name, a100.capability) == ("NVIDIA A100-SXM4-40GB", (8, 0))
    assert str(t4) == "Tesla T4 (14.6 GB free)"


def test_only_the_visible_gpus_are_queried(nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi(T4)
    gpus.visible(os.environ | {"CUDA_VISIBLE_DEVICES": "1, GPU-5f,-1,0"})
    assert "--id=1,GPU-5f\n" in nvidia_smi.arguments()
    gpus.visible({name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"})
    assert "--id" not in nvidia_smi.arguments()


@pytest.mark.parametrize("value", ["", " ", "-1", "-1,0"])
def test_an_empty_list_hides_every_gpu(nvidia_smi: NvidiaSmi, value: str) -> None:
    nvidia_smi(A100)
    environ = os.environ | {"CUDA_VISIBLE_DEVICES": value}
    assert gpus.hidden(environ)
    assert gpus.visible(environ) == []


def test_an_unset_list_hides_no_gpu() -> None:
    assert not gpus.hidden({})
    assert not gpus.hidden({"CUDA_VISIBLE_DEVICES": "0"})


@pytest.mark.parametrize("output", ["No devices were found", "[N/A], 12.1, NVIDIA GB10", "1, 2"])
def test_an_unreadable_answer_means_unknown(nvidia_smi: NvidiaSmi, output: str) -> None:
    nvidia_smi(output)
    assert gpus.visible(dict(os.environ)) is None


def test_a_machine_without_the_tool_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible(dict(os.environ)) is None


def test_a_driver_that_fails_means_unknown(nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi(A100, then="exit 9")
    assert gpus.visible(dict(os.environ)) is None


def test_capabilities_are_compared_as_numbers() -> None:
    assert Gpu("new", (12, 0), 1).capability > Gpu("old", (8, 9), 1).capability
