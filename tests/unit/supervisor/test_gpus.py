"""What is read of `nvidia-smi`, which a shell script stands in for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor import gpus
from supervisor.gpus import Gpu
from tests.unit.supervisor.conftest import NvidiaSmi

A100 = "40000, 8.0, NVIDIA A100-SXM4-40GB"
T4 = "14910, 7.5, Tesla T4"


def test_each_gpu_is_told_with_its_generation_and_what_is_free(nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi(A100, T4)
    a100, t4 = gpus.visible(dict(os.environ)) or []
    assert (a100.name, a100.capability) == ("NVIDIA A100-SXM4-40GB", (8, 0))
    assert str(t4) == "Tesla T4 (14.6 GB free)"


def test_only_the_visible_gpus_are_asked_for(nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi(T4)
    gpus.visible(os.environ | {"CUDA_VISIBLE_DEVICES": "1, GPU-5f,-1,0"})
    assert "--id=1,GPU-5f\n" in nvidia_smi.asked()
    gpus.visible({name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"})
    assert "--id" not in nvidia_smi.asked()


@pytest.mark.parametrize("value", ["", " ", "-1", "-1,0"])
def test_an_empty_list_hides_every_gpu(nvidia_smi: NvidiaSmi, value: str) -> None:
    nvidia_smi(A100)
    environ = os.environ | {"CUDA_VISIBLE_DEVICES": value}
    assert gpus.hidden(environ)
    assert gpus.visible(environ) == []


def test_what_is_not_set_hides_none() -> None:
    assert not gpus.hidden({})
    assert not gpus.hidden({"CUDA_VISIBLE_DEVICES": "0"})


@pytest.mark.parametrize("said", ["No devices were found", "[N/A], 12.1, NVIDIA GB10", "1, 2"])
def test_what_cannot_be_read_is_not_known(nvidia_smi: NvidiaSmi, said: str) -> None:
    nvidia_smi(said)
    assert gpus.visible(dict(os.environ)) is None


def test_a_machine_without_the_tool_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.visible(dict(os.environ)) is None


def test_a_driver_that_does_not_answer_is_not_known(nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi(A100, then="exit 9")
    assert gpus.visible(dict(os.environ)) is None


def test_a_gpu_is_compared_by_its_numbers() -> None:
    assert Gpu("new", (12, 0), 1).capability > Gpu("old", (8, 9), 1).capability
