"""The GPUs that `nvidia-smi` reports; a shell script stands in for it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from supervisor import gpus
from supervisor.gpu_watch import watch_gpus
from supervisor.gpus import Gpu
from tests.unit.supervisor.conftest import NvidiaSmi
from tritone.served import GpuMemory

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


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the device files that this user may open; others are there, and may only be opened by a group."""
    opened = {"nvidiactl", "nvidia-uvm"}
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path).name in opened)
    monkeypatch.setattr("grp.getgrgid", lambda _gid: SimpleNamespace(gr_name="render"))
    for name in ("nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o660)
        if os.getuid() == 0:
            os.chown(tmp_path / name, -1, 4242)
    return opened


def test_gpus_that_only_a_group_may_open_are_told_with_its_name(devices: set[str], tmp_path: Path) -> None:
    closed = gpus.closed()
    assert closed
    assert closed.startswith(f"{tmp_path}/nvidia0 may only be opened by the group render, and this user is not in it: ")
    assert "or set DEVICE=cpu" in closed


def test_one_gpu_that_can_be_opened_is_enough(devices: set[str]) -> None:
    devices.add("nvidia1")
    assert gpus.closed() is None


def test_a_gpu_is_closed_without_the_device_that_all_share(devices: set[str], tmp_path: Path) -> None:
    devices |= {"nvidia0", "nvidia1"}
    devices.remove("nvidia-uvm")
    assert (gpus.closed() or "").startswith(f"{tmp_path}/nvidia-uvm may only be opened by the group render")


def test_a_device_of_no_group_is_told_with_its_mode(devices: set[str], tmp_path: Path) -> None:
    (tmp_path / "nvidia0").chmod(0o600)
    assert (gpus.closed() or "").startswith(f"{tmp_path}/nvidia0 may not be opened by this user (-rw-------)")


def test_a_machine_without_device_files_has_no_closed_gpu(devices: set[str], tmp_path: Path) -> None:
    for device in tmp_path.iterdir():
        device.unlink()
    assert gpus.closed() is None


def test_each_gpu_has_its_memory_in_use(nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi("11776, 81559", "0, 15360")
    assert gpus.memory(dict(os.environ)) == [GpuMemory(11.5, 79.6), GpuMemory(0.0, 15.0)]
    assert "--query-gpu=memory.used,memory.total" in nvidia_smi.arguments()


async def test_the_document_follows_the_memory_of_the_gpus(nvidia_smi: NvidiaSmi) -> None:
    nvidia_smi("11776, 81559")
    seen: asyncio.Queue[tuple[GpuMemory, ...]] = asyncio.Queue()
    document: Any = SimpleNamespace(set_gpus=seen.put_nowait)
    watch = asyncio.create_task(watch_gpus(document, "cuda"))
    async with asyncio.timeout(300):
        assert await seen.get() == (GpuMemory(11.5, 79.6),)
    watch.cancel()
