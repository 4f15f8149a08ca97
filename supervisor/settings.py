"""The settings of `scripts/serve`: environment variables, or lines of `.env` in the clone."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from supervisor import http_frontend
from supervisor.environments import ROOT
from tritone import settings as shared
from tritone.settings import Setting

ENV_FILE = ROOT / ".env"
INSTALLED_TRITON = Path("/opt/tritonserver")

Port = Annotated[int, Field(ge=1, le=65535)]
Names = Annotated[tuple[str, ...], NoDecode]
Pairs = Annotated[dict[str, str], NoDecode]

_NUMBER = re.compile(r"\d+(\.\d+)?")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _declared(setting: Setting[Any], **constraints: Any) -> Any:
    """Return the field of a setting that other processes read too."""
    return Field(default=setting.default, description=setting.description, **constraints)


class Settings(BaseSettings):
    """The settings of the supervisor; the gateway and the models read theirs from the same variables."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True, validate_default=True
    )

    api_host: str = _declared(shared.API_HOST)
    api_port: Port = _declared(shared.API_PORT)
    triton_host: str = Field(default="127.0.0.1", description="Address that Triton listens on.")
    triton_http: http_frontend.Choice = Field(
        default="auto",
        description="Triton's HTTP port: `auto` opens it only on Triton 2.59.1 (25.07) or newer, so not on the "
        "embedded one; `true` opens it on an older Triton too, but only on 127.0.0.1, because one request can end that "
        "server (CVE-2025-23310, -23311); `false` never opens it.",
    )
    triton_http_port: Port = Field(default=8000, description="Number of Triton's HTTP port.")
    triton_grpc_port: Port = Field(default=8001, description="Triton's gRPC port.")
    triton_metrics_port: Port = Field(default=8002, description="Port of Triton's Prometheus metrics.")
    tritonserver_home: Path | None = Field(
        default=None,
        description="Folder of an installed Triton to run instead of the embedded one; /opt/tritonserver is used if it "
        "exists.",
    )
    model_dir: Path = _declared(shared.MODEL_DIR)
    tts_modes: Names = Field(
        default=(),
        description="Speech models to serve, separated by commas: ids, short names, modes, or `all`; empty: the "
        "default of the device; `none`: no model.",
    )
    model_type: str = Field(
        default="",
        description="Sizes of the models for the modes in `TTS_MODES`: `0.6b`, `1.7b` or `both`; if set alone, the "
        "usual modes of these sizes are served; empty: 1.7b.",
    )
    stt_models: Names = Field(
        default=(),
        description="Transcription models to serve, separated by commas: ids, short names, or `all`; empty: the "
        "default of the device; `none`: no model.",
    )
    extra_models: Pairs = Field(
        default={},
        description="Further checkpoints to serve: `id=folder` (relative to the clone), separated by commas; `id` "
        "alone is a folder that you made in model_repository/.",
    )
    model_instances: Pairs = Field(
        default={}, description="Instances of a model on each GPU, or on the CPU, if not one: `id=number`."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        validation_alias=AliasChoices("device", "whisper_device"),
        description="Device of the models: `auto` is `cuda` if there is a GPU, else `cpu`.",
    )
    gateway: bool = Field(default=True, description="Whether to start the gateway; `false` serves only Triton.")
    jobs: bool = Field(
        default=True,
        description="Whether to serve `/v1/audio/jobs`, and to start the worker that runs them; a gateway without "
        "`scripts/serve` serves them only if this is `true`, and its worker is `python -m gateway.jobs`.",
    )
    webrtc: bool = Field(
        default=False,
        description="Whether `POST /v1/realtime/calls` serves live sessions over WebRTC, which opens a UDP port for "
        "each call; the gateway's environment is `webrtc` then, which has aiortc.",
    )
    start_timeout: int = Field(
        default=600, gt=0, description="Seconds that Triton, the models and the gateway may take to start."
    )
    max_restarts: int = Field(
        default=10,
        ge=0,
        description="Restarts in a row of Triton, or of the gateway, that dies before it has served for a minute; "
        "after these the server ends with status 1 and the reasons.",
    )
    idle_timeout: Pairs = Field(
        default={},
        description="Seconds without requests after which a model is unloaded, until the next request loads it again: "
        "one number for all models, or `id=seconds`, separated by commas. Empty: never.",
    )
    drain_timeout: int = _declared(shared.DRAIN_TIMEOUT, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _listen_where_the_platform_expects(cls, values: dict[str, Any]) -> dict[str, Any]:
        return shared.platform_port() | values

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

    @field_validator("extra_models", "model_instances", "idle_timeout", mode="before")
    @classmethod
    def _pair(cls, value: object) -> object:
        if isinstance(value, str):
            pairs = (pair.partition("=") for pair in value.split(",") if pair.strip())
            return {key.strip(): text.strip() for key, _, text in pairs}
        return value

    @field_validator("extra_models")
    @classmethod
    def _check_ids(cls, value: dict[str, str]) -> dict[str, str]:
        for id_ in value:
            if not _ID.fullmatch(id_):
                raise ValueError(f"{id_!r} is not a valid model id: use letters, digits, '.', '_' and '-'")
        return value

    @field_validator("model_instances")
    @classmethod
    def _whole_numbers(cls, value: dict[str, str]) -> dict[str, str]:
        for id_, count in value.items():
            if not count.isdecimal() or int(count) < 1:
                raise ValueError(f"{id_}={count} must be a whole number, 1 or more")
        return value

    @field_validator("idle_timeout", mode="before")
    @classmethod
    def _for_all(cls, value: object) -> object:
        """Read a number alone as that of every model, whose id is then empty."""
        return {"": value.strip()} if isinstance(value, str) and value.strip() and "=" not in value else value

    @field_validator("idle_timeout")
    @classmethod
    def _seconds(cls, value: dict[str, str]) -> dict[str, str]:
        for id_, seconds in value.items():
            if not _NUMBER.fullmatch(seconds):
                raise ValueError(f"{id_ + '=' if id_ else ''}{seconds} must be a number of seconds; 0: never")
        return value

    @field_validator("model_dir", mode="before")
    @classmethod
    def _below_the_clone(cls, value: str | Path) -> Path:
        return ROOT / Path(value).expanduser()

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = list(self.ports.values())
        if len(set(ports)) < len(ports):
            raise ValueError(f"{', '.join(self.ports)} must be different ports, not {ports}")
        return self

    @property
    def gateway_environment(self) -> str:
        """The environment that the gateway and its workers run in."""
        return "webrtc" if self.webrtc else "gateway"

    @property
    def ports(self) -> dict[str, int]:
        """The ports that will be opened, by the names of their settings."""
        ports = {"TRITON_HTTP_PORT": self.triton_http_port} if self.triton_http_address else {}
        ports |= {"TRITON_GRPC_PORT": self.triton_grpc_port, "TRITON_METRICS_PORT": self.triton_metrics_port}
        return ports | {"API_PORT": self.api_port} if self.gateway else ports

    def idle_seconds(self, model: str) -> float:
        """Return the seconds without requests after which a model is unloaded; 0: never."""
        return float(self.idle_timeout.get(model, self.idle_timeout.get("", "0")))

    @property
    def triton_metrics_address(self) -> str:
        """The `host:port` of Triton's metrics, as seen from this machine."""
        return f"{reachable(self.triton_host)}:{self.triton_metrics_port}"

    @property
    def installed_triton(self) -> Path | None:
        """The folder of a server that is used instead of the embedded one."""
        return self.tritonserver_home or (INSTALLED_TRITON if INSTALLED_TRITON.is_dir() else None)

    @property
    def triton_version(self) -> http_frontend.Version | None:
        """The version of the server that is used; None if it is unknown."""
        return http_frontend.server_version(self.installed_triton)

    @property
    def triton_http_address(self) -> str | None:
        """The address that Triton's HTTP frontend listens on; None if it is off."""
        return http_frontend.http_address(self.triton_http, self.triton_host, self.triton_version)

    @property
    def triton_grpc_address(self) -> str:
        """The `host:port` of Triton's gRPC, as seen from this machine."""
        return f"{reachable(self.triton_host)}:{self.triton_grpc_port}"


def inherited() -> dict[str, str]:
    """Return the environment variables of this process, completed by those of `.env`."""
    return {**{name: value for name, value in dotenv_values(ENV_FILE).items() if value}, **os.environ}


def reachable(host: str) -> str:
    """Return the host to connect to, from this machine, for a server that listens on `host`."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host
