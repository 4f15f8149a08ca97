from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor import preflight
from supervisor.plan import Plan
from supervisor.settings import Settings


@pytest.fixture(autouse=True)
def able_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without problems, except those of the test."""
    monkeypatch.setattr(preflight, "find_libpython", lambda: Path("/lib/libpython.so"))
    monkeypatch.setattr(preflight, "SHARED_MEMORY_NEEDED", 0)
    monkeypatch.setattr("supervisor.gpus.closed", lambda: None)


def test_an_able_machine_has_no_findings(settings: Callable[..., Settings]) -> None:
    assert list(preflight.findings(settings())) == []


def test_a_port_in_use_is_reported_with_its_setting_and_its_process(settings: Callable[..., Settings]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (finding,) = preflight.findings(settings(triton_grpc_port=port))
    assert finding.startswith(f"TRITON_GRPC_PORT={port} is in use by ")
    assert finding.endswith(f"(pid {os.getpid()}): stop that, or set TRITON_GRPC_PORT to a free port")


def test_the_http_port_is_looked_at_where_it_is_opened(settings: Callable[..., Settings]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert list(preflight.findings(settings(triton_http_port=port))) == []
        (finding,) = preflight.findings(settings(triton_http_port=port, triton_http="true"))
    assert finding.startswith(f"TRITON_HTTP_PORT={port} is in use by ")


def test_a_vulnerable_triton_that_would_listen_for_vertex_ai_is_not_started(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIP_MODE", "PREDICTION")
    (finding,) = preflight.findings(settings())
    assert finding.startswith("AIP_MODE=PREDICTION makes Triton open its Vertex AI port on every address")
    assert "unset AIP_MODE" in finding


def test_an_address_of_another_machine_is_reported(settings: Callable[..., Settings]) -> None:
    (finding,) = preflight.findings(settings(api_host="192.0.2.1"))
    assert finding.startswith("API_HOST=192.0.2.1 cannot be listened on: ")


def test_a_missing_libpython_is_reported_with_its_package(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "find_libpython", lambda: None)
    (finding,) = preflight.findings(settings())
    assert "is missing" in finding
    assert "install libpython3." in finding


def test_a_cache_with_a_space_in_its_path_is_reported(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRITONE_CACHE", str(tmp_path / "a cache"))
    (finding,) = preflight.findings(settings())
    assert finding.startswith(f"Triton cannot start models from {tmp_path}/a cache: set TRITONE_CACHE to ")


def test_too_little_shared_memory_is_reported(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "SHARED_MEMORY_NEEDED", 1 << 60)
    (finding,) = preflight.findings(settings())
    assert "--shm-size" in finding


def test_an_old_c_library_is_reported(settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.31"))
    (finding,) = preflight.findings(settings())
    assert finding == "the embedded Triton needs glibc 2.35 or newer, this machine has 2.31: use the container"


@pytest.mark.parametrize(
    ("machine", "glibc", "problem"),
    [
        ("x86_64", "2.35", None),
        ("aarch64", "2.35", None),
        ("aarch64", "2.34", "the embedded Triton needs glibc 2.35 or newer, this machine has 2.34: use the container"),
        ("riscv64", "2.41", "the embedded Triton runs on Linux on x86_64 or aarch64, and this is linux on riscv64: "),
    ],
)
def test_the_embedded_triton_runs_on_two_kinds_of_machines(
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    glibc: str,
    problem: str | None,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", glibc))
    findings = list(preflight.findings(settings()))
    assert len(findings) == (problem is not None)
    assert not problem or findings[0].startswith(problem)


@pytest.mark.parametrize(
    ("device", "visible", "reported"), [("auto", None, 1), ("cuda", "0", 1), ("cpu", None, 0), ("auto", "-1", 0)]
)
def test_gpus_that_this_user_may_not_open_are_reported_where_they_are_wanted(
    settings: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    visible: str | None,
    reported: int,
) -> None:
    monkeypatch.setattr("supervisor.gpus.closed", lambda: "closed")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert list(preflight.findings(settings(device=device))) == ["closed"] * reported


def test_another_c_library_is_reported(settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    (finding,) = preflight.findings(settings())
    assert "another C library" in finding


def test_an_installed_server_needs_no_c_library_check(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.31"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "tritonserver").touch()
    assert list(preflight.findings(settings(tritonserver_home=tmp_path))) == []


def test_a_missing_installed_server_is_reported(settings: Callable[..., Settings], tmp_path: Path) -> None:
    (finding,) = preflight.findings(settings(tritonserver_home=tmp_path))
    assert finding.startswith(f"TRITONSERVER_HOME={tmp_path} has no bin/tritonserver")


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("DTYPE", "int8", "DTYPE=int8 is unknown; choose from bfloat16, float16, float32"),
        ("ATTN_IMPLEMENTATION", "flash", "ATTN_IMPLEMENTATION=flash is unknown; choose from flash_attention_2, sdpa"),
        ("DTYPE", "Float16", "DTYPE=float16 needs a GPU; on a CPU choose bfloat16 or float32"),
        ("QWEN_MAX_BATCH", "0", "QWEN_MAX_BATCH=0 must be a whole number, 1 or more"),
        ("CPU_THREADS", "-1", "CPU_THREADS=-1 must be a whole number, 0 or more"),
        ("WHISPER_COMPUTE_TYPE", "int4", "WHISPER_COMPUTE_TYPE=int4 is unknown"),
    ],
)
def test_an_unusable_setting_of_a_model_is_reported_before_loading(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, name: str, value: str, right: str
) -> None:
    monkeypatch.setenv(name, value)
    plan = Plan.make(settings(device="cpu", model_type="0.6b"))
    (finding,) = preflight.unusable_settings(plan)
    assert finding.startswith(right)


def test_a_gpu_only_precision_is_ignored_for_other_families(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DTYPE", "float16")
    assert list(preflight.unusable_settings(Plan.make(settings(device="cpu")))) == []
