"""The settings of the server itself, the limits of requests, and its servers of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, model_validator

from gateway.audio.formats import AudioFormat
from gateway.core.chinese import S2tConfig
from gateway.settings.fields import Names, shared
from tritone.settings import API_HOST, API_PORT, DRAIN_TIMEOUT, MAX_INPUT_CHARS, MODEL_DIR, platform_port


class ServerSettings(BaseModel):
    """Part of `GatewaySettings`."""

    api_host: str = shared(API_HOST)
    api_port: int = shared(API_PORT, ge=0, le=65535)
    triton_grpc_url: Names = Field(
        default=("localhost:8001",),
        min_length=1,
        description="Triton servers, `host:port` or `dns:///name:port` for all addresses of a name; each request goes "
        "to one that serves its model.",
    )
    model_dir: Path = shared(MODEL_DIR)
    max_input_chars: int = shared(MAX_INPUT_CHARS, ge=1)
    default_response_format: AudioFormat = Field(
        default="mp3", description="Audio format of speech for requests without one."
    )
    max_upload_bytes: int = Field(
        default=100 * 2**20,
        ge=1,
        description="Largest request body with files (up to 4 GB are tested), and largest `ref_audio` file, in bytes.",
    )
    max_json_bytes: int = Field(
        default=16 * 2**20,
        ge=1,
        description="Largest request body without files, and largest text beside files, which memory must hold, in "
        "bytes.",
    )
    upload_dir: Path | None = Field(
        default=None,
        description="Folder of uploads and whole responses over 1 MiB, while they are used; empty: `TMPDIR`.",
    )
    header_timeout: float = Field(
        default=20.0, gt=0, description="Seconds that a connection may take to send a request's headers."
    )
    body_timeout: float = Field(
        default=30.0,
        gt=0,
        description="Seconds that a request's body may take, with a second more for every 16 KiB that arrive.",
    )
    send_timeout: float = Field(
        default=60.0, gt=0, description="Seconds without reading after which a client's response is cut."
    )
    s2t_config: S2tConfig = Field(
        default="s2t",
        description="OpenCC's conversion to traditional Chinese for requests with `s2t`: `s2t`, `s2tw` or `s2twp` "
        "(Taiwan, with its words), `s2hk` or `s2hkp` (Hong Kong).",
    )
    max_audio_seconds: float = Field(default=4 * 3600.0, gt=0, description="Longest audio of one upload, in seconds.")
    ref_audio_dir: Path = Field(
        default=Path("ref_audio"), description="Folder of the recordings that `ref_audio` may name."
    )
    allow_ref_audio_urls: bool = Field(
        default=False, description="Whether `ref_audio` may be an http(s) address of a public host."
    )
    ref_audio_hosts: Names = Field(
        default=(), description="Internal hosts that such an address may also name: `host` or `host:port`."
    )
    max_requests: int = Field(
        default=64, ge=1, description="Requests in work at once, from the end of their bodies; others get a 429."
    )
    max_waiting_bodies: int = Field(
        default=256, ge=1, description="Requests whose bodies may be arriving at once; others get a 429."
    )
    max_deliveries: int = Field(
        default=64,
        ge=1,
        description="Responses to slow readers, beside the requests in work; beyond it, the oldest one is cut.",
    )
    max_wait: float = Field(
        default=30.0,
        gt=0,
        description="Seconds that a request may probably wait for its first result; beyond it, it gets a 503 at once.",
    )
    caller_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the places, and of MAX_WAIT, that one caller may take: a key, or without keys an "
        "address. Behind a proxy, set FORWARDED_ALLOW_IPS to its address, or this to 1.",
    )
    caller_audio_seconds: float = Field(
        default=28_800.0,
        ge=0,
        description="Seconds of audio in work of one caller beyond which its next request gets a 429; 0: no limit.",
    )
    max_long_input_chars: int = Field(
        default=100_000,
        gt=0,
        description="Characters of a longer text, which is spoken sentence by sentence, and of one utterance of "
        "`/v1/audio/speech/stream`.",
    )
    first_audio_timeout: float = Field(
        default=60.0, gt=0, description="Seconds until the first audio of a speech request."
    )
    request_timeout: float = Field(default=600.0, gt=0, description="Seconds that one request may take in all.")
    drain_timeout: int = shared(DRAIN_TIMEOUT, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _listen_where_the_platform_expects(cls, values: dict[str, Any]) -> dict[str, Any]:
        return platform_port() | values
