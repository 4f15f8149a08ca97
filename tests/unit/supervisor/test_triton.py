from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor import triton
from supervisor.environments import Environment
from supervisor.plan import Device, Plan
from supervisor.settings import Settings
from tritone.catalogue import Catalogue
from tritone.contract import PING_SECONDS

VERSION = "{}.{}".format(*sys.version_info)
HOME = triton.Home(Path("/home/server"), Path("/home/backends"), Path("/home/lib"))


def command(settings: Settings, device: Device = "cpu") -> list[str]:
    plan = Plan(settings, Catalogue.load(), device, [])
    return triton.command(plan, HOME, Path("/run/model_repository"), "s3cret", "mine_")


def test_the_control_of_models_needs_the_secret_over_both_protocols(settings: Callable[..., Settings]) -> None:
    restricted = [option for option in command(settings(triton_http="true")) if "restricted" in option]
    assert restricted == [
        "--http-restricted-api=model-repository,shared-memory,logging,trace:tritone-control=s3cret",
        "--grpc-restricted-protocol=model-repository,shared-memory,logging,trace:tritone-control=s3cret",
    ]


def test_the_http_frontend_of_the_embedded_server_is_off(settings: Callable[..., Settings]) -> None:
    assert [option for option in command(settings()) if "http" in option and "http2" not in option] == [
        "--allow-http=false"
    ]


def test_an_open_http_frontend_of_the_embedded_server_listens_on_loopback_alone(
    settings: Callable[..., Settings],
) -> None:
    options = command(settings(triton_http="true", triton_http_port=18000, triton_host="0.0.0.0"))
    assert "--http-address=127.0.0.1" in options
    assert "--http-port=18000" in options
    assert "--grpc-address=0.0.0.0" in options


def test_the_http_frontend_of_a_mended_server_listens_where_the_settings_say(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "TRITON_VERSION").write_text("2.73.0\n")
    options = command(settings(tritonserver_home=tmp_path, triton_http_port=18000, triton_host="0.0.0.0"))
    assert "--http-address=0.0.0.0" in options
    assert "--http-port=18000" in options


def test_traces_go_to_the_collector_of_the_gateway(
    settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    assert not [option for option in command(settings()) if "trace-config" in option]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/")
    assert "--trace-config=opentelemetry,url=http://collector:4318/v1/traces" in command(settings())


def test_every_secret_is_different() -> None:
    assert triton.new_secret() != triton.new_secret()


def test_the_server_listens_where_the_settings_say(settings: Callable[..., Settings]) -> None:
    options = command(settings(triton_grpc_port=18001, triton_http="true"))
    assert "--grpc-port=18001" in options
    assert [option.split("=")[1] for option in options if "-address=" in option] == ["127.0.0.1"] * 3


def test_the_server_accepts_the_pings_of_its_gateways(settings: Callable[..., Settings]) -> None:
    (interval,) = [option for option in command(settings()) if "ping-interval" in option]
    assert 0 < int(interval.partition("=")[2]) < PING_SECONDS * 1000


def test_a_machine_without_gpu_uses_the_cpu_configurations(settings: Callable[..., Settings]) -> None:
    assert "--model-config-name=cpu" in command(settings(), "cpu")
    assert not [option for option in command(settings(), "cuda") if "cpu" in option or "gpu" in option]


def test_the_servers_own_exit_timeout_is_longer_than_the_supervisors(settings: Callable[..., Settings]) -> None:
    (patience,) = [option for option in command(settings(drain_timeout=90)) if "exit-timeout" in option]
    assert int(patience.partition("=")[2]) > 90


def test_a_stub_may_take_as_long_to_start_as_the_whole_server(settings: Callable[..., Settings]) -> None:
    assert "--backend-config=python,stub-timeout-seconds=77" in command(settings(start_timeout=77))


@pytest.fixture
def carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parts of a server, in the places of the wheel in the environment `triton`."""
    environment = Environment("triton", tmp_path / "clone")
    parts = environment.link / "lib" / f"python{VERSION}" / "site-packages" / "pytriton" / "tritonserver"
    for part in (
        "bin/tritonserver",
        "backends/python/libtriton_python.so",
        "backends/python/triton_python_backend_utils.py",
        f"python_backend_stubs/{VERSION}/triton_python_backend_stub",
        "python_backend_stubs/3.8/triton_python_backend_stub",
    ):
        (parts / part).parent.mkdir(parents=True, exist_ok=True)
        (parts / part).touch()
    monkeypatch.setattr(triton, "Environment", lambda _name: environment)
    return parts


def test_the_home_consists_of_links_into_the_wheel(carried: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    home = triton.lay_out(tmp_path / "run", Path("/usr/lib/libpython"), installed=None)
    assert home.server == carried / "bin" / "tritonserver"
    backend = {path.name: path.readlink() for path in (home.backends / "python").iterdir()}
    assert backend == {
        "libtriton_python.so": carried / "backends/python/libtriton_python.so",
        "triton_python_backend_utils.py": carried / "backends/python/triton_python_backend_utils.py",
        "triton_python_backend_stub": carried / f"python_backend_stubs/{VERSION}/triton_python_backend_stub",
    }


def test_the_stubs_search_a_folder_with_only_libpython_first(carried: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    home = triton.lay_out(tmp_path / "run", Path("/usr/lib/libpython"), installed=None)
    search = home.environment({"LD_LIBRARY_PATH": "/cuda"})["LD_LIBRARY_PATH"].split(":")
    assert search[1:] == ["/cuda"]
    (library,) = Path(search[0]).iterdir()
    assert (library.name, library.readlink()) == (f"libpython{VERSION}.so.1.0", Path("/usr/lib/libpython"))


def test_an_installed_server_is_used_in_place(tmp_path: Path) -> None:
    home = triton.lay_out(tmp_path, Path("/usr/lib/libpython"), installed=Path("/opt/tritonserver"))
    assert home.server == Path("/opt/tritonserver/bin/tritonserver")
    assert home.backends == Path("/opt/tritonserver/backends")


@pytest.mark.parametrize(
    ("line", "alarms"),
    [
        ('E1120 06:17:53.679701 12619 server.cc:9] "no"', True),
        ('W1120 06:17:53.679701 12619 server.cc:9] "perhaps"', True),
        ('I1120 06:17:53.679701 12619 server.cc:9] "yes"', False),
        ('E1120 05:58:38.118808 2132 server.cc:241] "CudaDriverHelper has not been initialized."', False),
        ("Error of a stub's library", False),
    ],
)
def test_errors_and_warnings_of_the_log_are_alarming(line: str, alarms: bool) -> None:
    assert triton.is_alarming(line) is alarms
