"""Settings from the environment; a wrong one is reported in one line before the gateway starts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.process import serve
from gateway.settings import GatewaySettings
from tritone import VERSION
from tritone.settings import SHARED

NO_FILE: dict[str, Any] = {"_env_file": None}


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", " sk-a ,sk-b,")
    monkeypatch.setenv("TRITON_GRPC_URL", "one:8001, dns:///two:8001")
    monkeypatch.setenv("CORS_ORIGINS", "")
    settings = GatewaySettings(**NO_FILE)
    assert [key.get_secret_value() for key in settings.api_keys] == ["sk-a", "sk-b"]
    assert settings.triton_grpc_url == ("one:8001", "dns:///two:8001")
    assert settings.cors_origins == ()
    assert "sk-a" not in repr(settings)


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in GatewaySettings.model_fields.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "eighty"),
        ("MAX_REQUESTS", "0"),
        ("API_KEY_NAMES", "one,two"),
        ("DEFAULT_RESPONSE_FORMAT", "midi"),
        ("TRITON_GRPC_URL", ","),
        ("EXTRA_SURFACES", "no.such.package"),
        ("EXTRA_SURFACES", "no/such/folder"),
        ("LOG_LEVEL", "loud"),
        ("JOBS_CALLBACK_SECRET", "whsec_"),
        ("JOBS_CALLBACK_SECRET", "whsec_a"),
        ("VOICES_URL", "/var/voices"),
    ],
)
def test_a_wrong_setting_is_one_line_and_status_2(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        serve()
    printed = capsys.readouterr().err
    assert stopped.value.code == 2
    assert printed.startswith(f"gateway: wrong setting {name}: ")
    assert printed.count("\n") == 1


def test_shared_settings_are_those_of_the_other_processes() -> None:
    fields = GatewaySettings.model_fields
    for setting in SHARED:
        if setting.name.lower() in fields:
            field = fields[setting.name.lower()]
            assert (field.default, field.description) == (setting.default, setting.description)
    assert {"api_host", "api_port", "model_dir", "drain_timeout", "max_input_chars"} <= fields.keys()


def test_the_version_stands_in_pyproject_too() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
