"""Every setting of the gateway, from the environment or a `.env` file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway.audio.formats import AudioFormat


def _split(value: Any) -> Any:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _pairs(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pairs = [word.partition("=") for word in _split(value)]
    if not all(name and twin for name, _, twin in pairs):
        raise ValueError("write pairs as id=id, separated by commas")
    return {name: twin for name, _, twin in pairs}


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Pairs = Annotated[dict[str, str], NoDecode, BeforeValidator(_pairs)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """Each field is read from the environment variable of its name in capitals; lists are separated by commas."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)

    api_host: str = Field(
        default="127.0.0.1", description="Address that the gateway listens on; `0.0.0.0` opens it to all."
    )
    api_port: int = Field(default=8899, ge=0, le=65535, description="Port that the gateway listens on.")
    triton_grpc_url: Names = Field(
        default=("localhost:8001",),
        min_length=1,
        description="Triton servers to spread requests over: `host:port`, several of them, or `dns:///name:port`.",
    )
    model_dir: Path = Field(
        default=Path("models"), description="Folder of the weights; the gateway reads its VAD from there."
    )
    tts_modes: Names = Field(
        default=(), description="Speech models to serve, by name, mode or id. Empty: the default; or `none`."
    )
    model_type: str = Field(
        default="", description="Size of the Qwen3-TTS models that TTS_MODES names by mode: `0.6b`, `1.7b` or `both`."
    )
    stt_models: Names = Field(default=(), description="Transcription models to serve, in the same words.")
    extra_models_like: Pairs = Field(
        default={}, description="Further models, and the id of the model that each is like: `minsu=qwen3-tts-1.7b`."
    )

    max_input_chars: int = Field(default=4096, ge=1, description="Characters that one speech request may hold.")
    default_response_format: AudioFormat = Field(
        default="mp3", description="Audio format of speech where none is asked for."
    )
    max_upload_bytes: int = Field(
        default=100 * 2**20, ge=1, description="Bytes that a request body may hold, or a `ref_audio` that it names."
    )
    max_audio_seconds: float = Field(
        default=4 * 3600.0, gt=0, description="Seconds of audio that one upload may decode to."
    )
    ref_audio_dir: Path = Field(
        default=Path("ref_audio"), description="Folder of the recordings that `ref_audio` may name."
    )
    allow_ref_audio_urls: bool = Field(
        default=False, description="Whether `ref_audio` may be an http(s) address; public hosts alone."
    )
    ref_audio_hosts: Names = Field(
        default=(), description="Internal hosts that such an address may name all the same: `host` or `host:port`."
    )
    max_requests: int = Field(default=64, ge=1, description="Requests worked on at once; more are answered with 429.")
    max_realtime_sessions: int = Field(
        default=32, ge=1, description="Live transcriptions at once; more are answered with 429."
    )
    realtime_idle_timeout: float = Field(
        default=60.0, gt=0, description="Seconds that a live transcription may wait for its client."
    )
    realtime_session_timeout: float = Field(
        default=3600.0, gt=0, description="Seconds that a live transcription may take as a whole."
    )
    first_audio_timeout: float = Field(
        default=60.0, gt=0, description="Seconds until the first audio of a speech request."
    )
    request_timeout: float = Field(default=600.0, gt=0, description="Seconds that one request may take as a whole.")
    drain_timeout: int = Field(default=30, ge=0, description="Seconds that open requests get to finish after SIGTERM.")

    api_keys: Secrets = Field(default=(), description="Keys that clients must send one of. Empty: open to all.")
    public_lists: bool = Field(default=False, description="Whether the lists of models and voices need no key.")
    cors_origins: Names = Field(default=(), description="Origins that browsers may call from; `*` for every one.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least level that is logged."
    )
