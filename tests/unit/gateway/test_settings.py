"""Settings come from the environment; a wrong one is told in one line before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.settings import GatewaySettings


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", " sk-a ,sk-b,")
    monkeypatch.setenv("TRITON_GRPC_URL", "one:8001, dns:///two:8001")
    monkeypatch.setenv("CORS_ORIGINS", "")
    settings = GatewaySettings(_env_file=None)
    assert [key.get_secret_value() for key in settings.api_keys] == ["sk-a", "sk-b"]
    assert settings.triton_grpc_url == ("one:8001", "dns:///two:8001")
    assert settings.cors_origins == ()
    assert "sk-a" not in repr(settings)


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in GatewaySettings.model_fields.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "eighty"),
        ("MAX_REQUESTS", "0"),
        ("DEFAULT_RESPONSE_FORMAT", "midi"),
        ("TTS_MODES", "kokoro,bogus"),
        ("TRITON_GRPC_URL", ","),
        ("MODEL_TYPE", "7b"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_setting_is_one_line_and_status_2(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        main()
    told = capsys.readouterr().err
    assert stopped.value.code == 2
    assert told.count("\n") == 1
    assert name in told


def test_a_detector_that_is_missing_is_one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODEL_DIR", "weights")
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        "gateway: weights/silero-vad/silero_vad_16k_sequence.onnx is missing; "
        "scripts/fetch_models silero-vad brings it\n"
    )
