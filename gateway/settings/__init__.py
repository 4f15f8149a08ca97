"""The settings of the gateway, from environment variables or a `.env` file."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.settings.access import AccessSettings
from gateway.settings.fields import Names, Ports
from gateway.settings.jobs import JobSettings
from gateway.settings.language_model import LanguageModelSettings
from gateway.settings.live import LiveSettings
from gateway.settings.results import ResultSettings
from gateway.settings.server import ServerSettings
from gateway.settings.voices import VoiceSettings

ENV_FILE: Final = ".env"


class GatewaySettings(
    ResultSettings,
    LanguageModelSettings,
    AccessSettings,
    VoiceSettings,
    JobSettings,
    LiveSettings,
    ServerSettings,
    BaseSettings,
):
    """Each field is read from the environment variable of its name in capitals; lists are separated by commas."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", env_ignore_empty=True, validate_default=True)

    whisper_models: Names = Field(
        default=("whisper-1",), min_length=1, description="Models of `/whisper`: the first that is served is used."
    )
    omni_models: Names = Field(
        default=("qwen2.5-omni-7b", "qwen2.5-omni-7b-awq", "whisper-1"),
        min_length=1,
        description="Models of `/omni`: the first that is served is used.",
    )
    omni_output_dir: Path | None = Field(
        default=None, description="Folder in which `/omni` keeps its results as files. Empty: they are not kept."
    )
    f5_models: Names = Field(
        default=("f5-tts", "qwen3-tts-1.7b-clone", "qwen3-tts-0.6b-clone"),
        min_length=1,
        description="Models of `/tts`: the first that is served is used.",
    )
    surface_ports: Ports = Field(
        default={},
        description="Surfaces that also stand at the root of a port of their own, as the services that they replace "
        "did: `whisper=8001,omni=5000`.",
    )
    extra_surfaces: Names = Field(
        default=(), description="Further HTTP surfaces: importable packages, or folders relative to the clone."
    )
    otel_exporter_otlp_endpoint: str = Field(
        default="",
        description="Address of an OpenTelemetry collector that takes traces by OTLP over HTTP, such as "
        "`http://localhost:4318`. Triton sends its own there too. Empty: no traces are sent.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level to log.")
