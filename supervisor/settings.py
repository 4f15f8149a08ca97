"""The settings of `scripts/serve`: environment variables, or lines of `.env` in the clone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from supervisor.environments import ROOT

ENV_FILE = ROOT / ".env"
INSTALLED_TRITON = Path("/opt/tritonserver")

Port = Annotated[int, Field(ge=1, le=65535)]
Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """What the supervisor needs to know; the gateway and the models read theirs from the same variables."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True)

    api_host: str = Field(default="127.0.0.1", description="Address that the gateway listens on")
    api_port: Port = Field(default=8899, description="Port that the gateway listens on")
    triton_host: str = Field(default="127.0.0.1", description="Address that Triton listens on")
    triton_http_port: Port = Field(default=8000, description="Triton's HTTP port")
    triton_grpc_port: Port = Field(default=8001, description="Triton's gRPC port")
    triton_metrics_port: Port = Field(default=8002, description="Triton's Prometheus port")
    tritonserver_home: Path | None = Field(
        default=None,
        description="Folder of an installed Triton to run in place of the embedded one; "
        "/opt/tritonserver is taken where it exists",
    )
    model_dir: Path = Field(default=Path("models"), description="Folder of the weights; relative to the clone")
    tts_modes: Names = Field(
        default=(), description="Models that speak, separated by commas; empty: the device's default; `none`: no model"
    )
    model_type: str = Field(
        default="",
        description="Size of the Qwen3-TTS models, `0.6b`, `1.7b` or `both`; alone, it chooses them; empty: 1.7b",
    )
    stt_models: Names = Field(
        default=(), description="Models that listen, separated by commas; empty: the device's default; `none`: no model"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the models run: `auto` is `cuda` where there is a GPU, else `cpu`"
    )
    gateway: bool = Field(default=True, description="Whether to start the gateway; `false` serves Triton alone")
    start_timeout: int = Field(
        default=600, gt=0, description="Seconds that server, models and gateway have to get ready"
    )
    drain_timeout: int = Field(
        default=30,
        ge=0,
        description="Seconds that the gateway, and then Triton, have for what is in flight when asked to stop",
    )

    @field_validator("tts_modes", "stt_models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("model_dir")
    @classmethod
    def _below_the_clone(cls, value: Path) -> Path:
        return ROOT / value.expanduser()

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = list(self.ports.values())
        if len(set(ports)) < len(ports):
            raise ValueError(f"{', '.join(self.ports)} must be different ports, not {ports}")
        return self

    @property
    def ports(self) -> dict[str, int]:
        """The ports that will be opened, by the names of their settings."""
        triton = {
            "TRITON_HTTP_PORT": self.triton_http_port,
            "TRITON_GRPC_PORT": self.triton_grpc_port,
            "TRITON_METRICS_PORT": self.triton_metrics_port,
        }
        return triton | {"API_PORT": self.api_port} if self.gateway else triton

    @property
    def installed_triton(self) -> Path | None:
        """The folder of a server that is used in place of the embedded one."""
        return self.tritonserver_home or (INSTALLED_TRITON if INSTALLED_TRITON.is_dir() else None)


def reachable(host: str) -> str:
    """The host of a URL that reaches, from this machine, what listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host
