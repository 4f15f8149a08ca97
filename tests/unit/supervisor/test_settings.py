from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings
from supervisor import command
from supervisor.environments import ROOT
from supervisor.settings import Settings, reachable


def test_lists_are_separated_by_commas(settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_MODELS", " whisper-base, ,large ")
    assert settings().stt_models == ("whisper-base", "large")


def test_the_weights_folder_is_relative_to_the_clone_not_to_the_working_folder(
    settings: Callable[..., Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings().model_dir == ROOT / "models"
    assert settings(model_dir=tmp_path).model_dir == tmp_path


def test_two_listeners_cannot_have_one_port(settings: Callable[..., Settings]) -> None:
    with pytest.raises(ValidationError, match="API_PORT must be different ports"):
        settings(api_port=8001, triton_grpc_port=8001)


def test_the_gateways_port_is_free_for_others_without_a_gateway(settings: Callable[..., Settings]) -> None:
    assert "API_PORT" not in settings(gateway=False, api_port=8001, triton_grpc_port=8001).ports


@pytest.mark.parametrize("process", [Settings, GatewaySettings])
@pytest.mark.parametrize(
    ("given", "port"),
    [
        ({}, 8899),
        ({"PORT": "8080"}, 8080),
        ({"PORT": "8080", "SAGEMAKER_BIND_TO_PORT": "8443"}, 8443),
        ({"PORT": "8080", "API_PORT": "9000"}, 9000),
        ({"PORT": "8080", "API_PORT": ""}, 8080),
        ({"PORT": "", "SAGEMAKER_BIND_TO_PORT": ""}, 8899),
    ],
)
def test_the_port_of_the_platform_counts_where_our_own_is_not_set(
    monkeypatch: pytest.MonkeyPatch, process: Callable[..., Any], given: dict[str, str], port: int
) -> None:
    for name in ("PORT", "SAGEMAKER_BIND_TO_PORT", "API_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert process(_env_file=None).api_port == port


@pytest.mark.parametrize("process", [Settings, GatewaySettings])
def test_the_port_in_the_settings_file_counts_before_that_of_the_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: Callable[..., Any]
) -> None:
    file = tmp_path / ".env"
    file.write_text("API_PORT=9000\n")
    monkeypatch.setenv("PORT", "8080")
    monkeypatch.delenv("API_PORT", raising=False)
    assert process(_env_file=file).api_port == 9000


@pytest.mark.parametrize(("choice", "opened"), [("auto", False), ("false", False), ("True", True)])
def test_the_http_port_of_the_embedded_triton_is_opened_only_if_asked_for(
    settings: Callable[..., Settings], choice: str, opened: bool
) -> None:
    chosen = settings(triton_http=choice, triton_host="0.0.0.0")
    assert ("TRITON_HTTP_PORT" in chosen.ports) is opened
    assert chosen.triton_http_address == ("127.0.0.1" if opened else None)


def test_the_http_port_of_a_mended_triton_is_open_where_triton_listens(
    settings: Callable[..., Settings], tmp_path: Path
) -> None:
    (tmp_path / "TRITON_VERSION").write_text("2.59.1\n")
    chosen = settings(tritonserver_home=tmp_path, triton_host="0.0.0.0")
    assert "TRITON_HTTP_PORT" in chosen.ports
    assert chosen.triton_http_address == "0.0.0.0"


@pytest.mark.parametrize(("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("10.0.0.1", "10.0.0.1")])
def test_a_server_on_every_address_is_reached_on_loopback(host: str, reached: str) -> None:
    assert reachable(host) == reached


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("API_PORT", "http", "API_PORT=http: Input should be a valid integer"),
        ("DEVICE", "tpu", "DEVICE=tpu: Input should be 'auto', 'cpu' or 'cuda'"),
        ("TRITON_HTTP", "maybe", "TRITON_HTTP=maybe: Input should be 'auto', 'true' or 'false'"),
        ("API_PORT", "8001", "TRITON_GRPC_PORT, TRITON_METRICS_PORT, API_PORT must be different"),
        ("TTS_MODES", "bark", "TTS_MODES: 'bark' is unknown; choose from "),
        ("EXTRA_MODELS", "a/b=c", "EXTRA_MODELS=a/b=c: 'a/b' is not a valid model id"),
        (
            "MODEL_INSTANCES",
            "whisper-base",
            "MODEL_INSTANCES=whisper-base: whisper-base= must be a whole number, 1 or more",
        ),
        ("IDLE_TIMEOUT", "soon", "IDLE_TIMEOUT=soon: soon must be a number of seconds; 0: never"),
        ("IDLE_TIMEOUT", "a=1,b=-2", "IDLE_TIMEOUT=a=1,b=-2: b=-2 must be a number of seconds; 0: never"),
        ("TTS_MODES", "none", "TTS_MODES and STT_MODELS choose no model"),
    ],
)
def test_an_invalid_setting_is_one_line_of_error(
    settings: Callable[..., Settings],
    name: str,
    value: str,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["serve"])
    monkeypatch.setenv("STT_MODELS", "none")
    monkeypatch.setenv(name, value)
    assert command.main() == command.BAD_SETTINGS
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_the_idle_timeout_is_one_number_or_one_for_each_model(settings: Callable[..., Settings]) -> None:
    assert settings().idle_seconds("kokoro-82m") == 0
    assert settings(idle_timeout="90").idle_seconds("kokoro-82m") == 90
    mixed = settings(idle_timeout="kokoro-82m=0.5, whisper-base=0")
    assert [mixed.idle_seconds(id_) for id_ in ("kokoro-82m", "whisper-base", "other")] == [0.5, 0, 0]
