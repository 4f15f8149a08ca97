"""The settings of `scripts/serve`: environment variables, or lines of `.env` in the clone."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from supervisor import http_frontend
from supervisor.environments import ROOT

ENV_FILE = ROOT / ".env"
INSTALLED_TRITON = Path("/opt/tritonserver")

Port = Annotated[int, Field(ge=1, le=65535)]
Names = Annotated[tuple[str, ...], NoDecode]
Pairs = Annotated[dict[str, str], NoDecode]

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Settings(BaseSettings):
    """What the supervisor needs to know; the gateway and the models read theirs from the same variables."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True)

    api_host: str = Field(default="127.0.0.1", description="Address that the gateway listens on")
    api_port: Port = Field(default=8899, description="Port that the gateway listens on")
    triton_host: str = Field(default="127.0.0.1", description="Address that Triton listens on")
    triton_http: http_frontend.Choice = Field(
        default="auto",
        description="Whether Triton's HTTP port is open: `auto` opens it on Triton 2.59.1 (25.07) or newer, so not on "
        "the embedded one; `true` opens an older one's on loopback alone, because one request can end it "
        "(CVE-2025-23310, -23311)",
    )
    triton_http_port: Port = Field(default=8000, description="Triton's HTTP port, where it is open")
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
    extra_models: Pairs = Field(
        default={},
        description="Further Qwen3-TTS checkpoints, served beside the others: `id=folder` (relative to the clone), "
        "separated by commas; `id` alone is a folder that you made in model_repository/",
    )
    model_instances: Pairs = Field(
        default={}, description="Instances of a model on each GPU or on the CPU, where not one: `id=number`"
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

    @field_validator("triton_http", mode="before")
    @classmethod
    def _lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("tts_modes", "stt_models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @field_validator("extra_models", "model_instances", mode="before")
    @classmethod
    def _pair(cls, value: object) -> object:
        if isinstance(value, str):
            pairs = (pair.partition("=") for pair in value.split(",") if pair.strip())
            return {key.strip(): said.strip() for key, _, said in pairs}
        return value

    @field_validator("extra_models")
    @classmethod
    def _plain_names(cls, value: dict[str, str]) -> dict[str, str]:
        for id_ in value:
            if not _PLAIN.fullmatch(id_):
                raise ValueError(f"{id_!r} is no name for a model: take letters, digits, '.', '_' and '-'")
        return value

    @field_validator("model_instances")
    @classmethod
    def _whole_numbers(cls, value: dict[str, str]) -> dict[str, str]:
        for id_, count in value.items():
            if not count.isdecimal() or int(count) < 1:
                raise ValueError(f"{id_}={count} must be a whole number from 1 on")
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
        ports = {"TRITON_HTTP_PORT": self.triton_http_port} if self.triton_http_address else {}
        ports |= {"TRITON_GRPC_PORT": self.triton_grpc_port, "TRITON_METRICS_PORT": self.triton_metrics_port}
        return ports | {"API_PORT": self.api_port} if self.gateway else ports

    @property
    def installed_triton(self) -> Path | None:
        """The folder of a server that is used in place of the embedded one."""
        return self.tritonserver_home or (INSTALLED_TRITON if INSTALLED_TRITON.is_dir() else None)

    @property
    def triton_version(self) -> http_frontend.Version | None:
        """The version of the server that is used; None where it is unknown."""
        return http_frontend.server_version(self.installed_triton)

    @property
    def triton_http_address(self) -> str | None:
        """The address that Triton's HTTP frontend listens on; None where it is off."""
        return http_frontend.http_address(self.triton_http, self.triton_host, self.triton_version)

    @property
    def triton_grpc_address(self) -> str:
        """`host:port` that reaches Triton's gRPC from this machine."""
        return f"{reachable(self.triton_host)}:{self.triton_grpc_port}"


def inherited() -> dict[str, str]:
    """The environment variables that every process starts from: `.env`'s, under our own."""
    return {**{name: value for name, value in dotenv_values(ENV_FILE).items() if value}, **os.environ}


def reachable(host: str) -> str:
    """The host of a URL that reaches, from this machine, what listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host
