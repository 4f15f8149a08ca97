"""The settings of the gateway, from environment variables or a `.env` file."""

from __future__ import annotations

import base64
import re
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway.audio.formats import AudioFormat
from gateway.core.chinese import S2tConfig
from gateway.core.language_model import LanguageModelOptions
from tritone.settings import (
    API_HOST,
    API_PORT,
    DRAIN_TIMEOUT,
    MAX_INPUT_CHARS,
    MODEL_DIR,
    Setting,
    platform_port,
)


def _split(value: Any) -> Any:
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _pairs(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    pairs = [word.partition("=") for word in _split(value)]
    if not all(name.strip() and given.strip() for name, _, given in pairs):
        raise ValueError("write `name=value`, separated by commas")
    return {name.strip(): given.strip() for name, _, given in pairs}


def _shared(setting: Setting[Any], **limits: Any) -> Any:
    """Return the field of a setting that is declared in tritone/settings.py."""
    return Field(default=setting.default, description=setting.description, **limits)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Ports = Annotated[dict[str, Annotated[int, Field(ge=1, le=65535)]], NoDecode, BeforeValidator(_pairs)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]

ENV_FILE: Final = ".env"
_ICE_SERVER: Final = re.compile(
    r"(stun:|turns?:)(\[[\da-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(?<!stun:)(\?transport=(udp|tcp))?"
)
WEBHOOK_PREFIX: Final = "whsec_"
"""Begins a secret for callbacks whose rest is base64, as the Standard Webhooks have it."""


class GatewaySettings(BaseSettings):
    """Each field is read from the environment variable of its name in capitals; lists are separated by commas."""

    model_config = SettingsConfigDict(env_file=ENV_FILE, extra="ignore", env_ignore_empty=True, validate_default=True)

    api_host: str = _shared(API_HOST)
    api_port: int = _shared(API_PORT, ge=0, le=65535)
    triton_grpc_url: Names = Field(
        default=("localhost:8001",),
        min_length=1,
        description="Triton servers, `host:port` or `dns:///name:port` for all addresses of a name; each request goes "
        "to one that serves its model.",
    )
    model_dir: Path = _shared(MODEL_DIR)

    max_input_chars: int = _shared(MAX_INPUT_CHARS, ge=1)
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
    max_realtime_sessions: int = Field(
        default=32, ge=1, description="Live sessions at once; others are answered with 429."
    )
    realtime_idle_timeout: float = Field(
        default=0.0,
        ge=0,
        description="Seconds after which a live session without client events is closed; 0: never, because WebSocket "
        "pings show whether its client is there.",
    )
    realtime_session_timeout: float = Field(
        default=3600.0, gt=0, description="Seconds after which a live session is closed."
    )
    webrtc: bool = Field(
        default=False,
        description="Whether `POST /v1/realtime/calls` serves live sessions over WebRTC, which opens a UDP port for "
        "each call; with `scripts/serve`, the gateway runs in the environment `webrtc` then.",
    )
    webrtc_public_address: str = Field(
        default="",
        description="IP address at which clients reach the UDP ports of this machine, if it is behind a 1:1 NAT or in "
        "a container with published ports. Empty: its own addresses.",
    )
    webrtc_ice_servers: Names = Field(
        default=(),
        description="A STUN server, `stun:HOST:3478`, which tells this machine its public address; a TURN server, "
        "`turn:HOST:3478`, `turn:HOST:3478?transport=tcp` or `turns:HOST:5349`, over which all calls go then; or both, "
        "separated by commas. Empty: clients reach this machine.",
    )
    webrtc_turn_username: str = Field(default="", description="Name of this server's user at the TURN server.")
    webrtc_turn_credential: SecretStr = Field(default=SecretStr(""), description="Password of that user.")
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
    drain_timeout: int = _shared(DRAIN_TIMEOUT, ge=0)

    jobs: bool = Field(
        default=False,
        description="Whether to serve `/v1/audio/jobs`; a worker must run them (`python -m gateway.jobs`).",
    )
    jobs_dir: Path = Field(default=Path("jobs"), description="Folder of the jobs' files and of the embedded database.")
    jobs_url: SecretStr = Field(
        default=SecretStr(""),
        description="PostgreSQL database of the jobs, `postgresql://user:password@host/name`, for workers on several "
        "machines; empty: SQLite in JOBS_DIR.",
    )
    jobs_at_once: int = Field(default=2, ge=1, description="Jobs that one worker runs at once.")
    jobs_wait: float = Field(
        default=3600.0, gt=0, description="Seconds that a job waits for its model, or for disk space, before it fails."
    )
    jobs_retention: float = Field(
        default=7 * 86400.0, gt=0, description="Seconds after which a job and its files are removed."
    )
    jobs_max_input_chars: int = Field(
        default=500_000, ge=1, description="Characters that the text of one speech job may hold."
    )
    allow_job_urls: bool = Field(
        default=False, description="Whether a job may fetch its recording from an http(s) address of a public host."
    )
    jobs_hosts: Names = Field(
        default=(),
        description="Internal hosts that the addresses of jobs may also name, for recordings and callbacks: `host` or "
        "`host:port`.",
    )
    jobs_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port of a worker's Prometheus metrics, on API_HOST; 0: none."
    )
    jobs_callback_secret: SecretStr | None = Field(
        default=None, description="Secret that callbacks are signed with; empty: no callbacks."
    )

    voices_dir: Path = Field(default=Path("voices"), description="Folder of the registered voices.")
    voices_url: str = Field(
        default="",
        description="Bucket of the registered voices with a prefix, `s3://bucket/prefix`, for several gateways; its "
        "credentials, region, endpoint and encryption are in `AWS_*` variables. Empty: VOICES_DIR.",
    )
    voices_need_consent: bool = Field(
        default=True, description="Whether a voice needs a recording in which its speaker consents."
    )
    max_voices: int = Field(default=20, ge=1, description="Registered voices of one API key.")
    max_voice_bytes: int = Field(
        default=10 * 2**20, ge=1, description="Largest recording of a voice or a consent, in bytes."
    )

    api_keys: Secrets = Field(default=(), description="API keys; a client must send one of them. Empty: no key needed.")
    api_key_names: Names = Field(
        default=(), description="Names of API_KEYS, in their order, for the reports of usage; no secrets."
    )
    admin_key: SecretStr = Field(
        default=SecretStr(""),
        description="Key that may read the usage of all API keys (`/v1/organization/usage`), and nothing else. Empty: "
        "nobody may.",
    )
    usage_retention: float = Field(
        default=400 * 86400.0, gt=0, description="Seconds for which the usage of API keys is kept."
    )
    public_lists: bool = Field(default=False, description="Whether the lists of models and voices need no key.")
    cors_origins: Names = Field(
        default=(),
        description="Origins that browsers may send requests from, and open WebSockets from; `*`: all. Without keys, "
        "WebSockets from loopback and from this server's own pages are accepted too.",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Names of this server that the Host header may hold, such as `speech.example.com` or "
        "`*.example.com`, beside IP addresses, names without a dot and private ones (`.local`, `.internal`); `*`: all. "
        "Empty: the header is checked only on a loopback `API_HOST` without keys, against DNS rebinding.",
    )
    llm_url: str = Field(
        default="",
        validation_alias=AliasChoices("llm_url", "openai_base_url"),
        description="Base address of a language model with OpenAI's API, for `/v1/chat/completions`, conversations "
        "over `/v1/realtime`, `/whisper/transcribe-and-process` and `/zonos/assistant`: `http://localhost:8000/v1`. "
        "`OPENAI_BASE_URL` is read too. Empty: there is none.",
    )
    llm_model: str = Field(
        default="",
        validation_alias=AliasChoices("llm_model", "model_name"),
        description="Name of the language model; `MODEL_NAME` is read too. Empty: the first that its server lists.",
    )
    llm_api: Literal["chat", "completions"] = Field(
        default="chat", description="Route of the language model: `chat` (`/chat/completions`) or `completions`."
    )
    llm_api_key: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("llm_api_key", "openai_api_key"),
        description="API key of the language model's server; `OPENAI_API_KEY` is read too.",
    )
    llm_max_tokens: int = Field(default=2048, ge=1, description="Tokens that the language model may write.")
    llm_timeout: float = Field(
        default=120.0,
        gt=0,
        description="Seconds that the language model may take for its first token, and for the next.",
    )
    chat_transcription_model: str = Field(
        default="whisper-1",
        min_length=1,
        description="Transcription model that hears the audio in the messages of `/v1/chat/completions`.",
    )
    chat_speech_model: str = Field(
        default="",
        description="Speech model of the answers of `/v1/chat/completions` for requests without `audio.model`. Empty: "
        "the first that is served.",
    )
    assistant_templates: Path | None = Field(
        default=None,
        description="File with the categories and writing styles of `/zonos/assistant`, as `gateway/core/assistant."
        "toml`, which is used if this is empty.",
    )
    assistant_max_prompt_chars: int = Field(
        default=32_768, ge=1, description="Characters that a prompt of `/zonos/assistant` may hold."
    )
    s3_bucket_name: str = Field(
        default="",
        validation_alias=AliasChoices("s3_bucket_name", "aws_bucket_name"),
        description="Bucket of S3 for the results of `/zonos`; `AWS_BUCKET_NAME` is read too. Credentials, region and "
        "endpoint are in `AWS_*` variables. Empty: answers are the audio itself.",
    )
    results_prefix: str = Field(default="", description="Folder in that bucket; empty: its root.")
    result_url_seconds: float = Field(
        default=86_400.0, gt=0, le=604_800, description="Seconds for which the signed address of a result is valid."
    )
    sqs_url: str = Field(default="", description="Queue of SQS for the notices of results. Empty: none are sent.")
    aws_sqs_register_queue_url: str = Field(
        default="", description="Queue of SQS with messages as bodies of `/zonos/register_speaker`."
    )
    aws_sqs_synthesize_queue_url: str = Field(
        default="", description="Queue of SQS with messages as bodies of `/zonos/synthesize`."
    )
    aws_sqs_assistant_queue_url: str = Field(
        default="", description="Queue of SQS with messages as bodies of `/zonos/assistant`."
    )
    sqs_at_once: int = Field(default=2, ge=1, le=10, description="Messages of each queue that a worker has at once.")
    sqs_visibility: int = Field(
        default=60,
        ge=2,
        le=43_200,
        description="Seconds after which a message of a dead worker is taken by another; a living one renews them.",
    )
    sqs_max_receives: int = Field(
        default=5,
        ge=1,
        description="Attempts at a message, if its queue has no dead-letter queue; then it is put below "
        "`dead-letters/` in the bucket.",
    )
    sqs_api_key: SecretStr = Field(
        default=SecretStr(""), description="API key whose registered speakers messages may name, if there are API keys."
    )
    sqs_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the queue worker's Prometheus metrics, on API_HOST; 0: none."
    )
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

    @field_validator("webrtc")
    @classmethod
    def _check_webrtc(cls, webrtc: bool) -> bool:
        if webrtc and find_spec("aiortc") is None:
            raise ValueError("the package aiortc is not installed; requirements/webrtc.txt has it")
        return webrtc

    @field_validator("webrtc_public_address")
    @classmethod
    def _check_public_address(cls, address: str) -> str:
        return str(ip_address(address)) if address else ""

    @field_validator("webrtc_ice_servers")
    @classmethod
    def _check_ice_servers(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := next((url for url in servers if not _ICE_SERVER.fullmatch(url)), ""):
            raise ValueError(f"{wrong!r}: a server is such as `stun:HOST:3478`, `turn:HOST:3478` or `turns:HOST:5349`")
        stun = sum(url.startswith("stun:") for url in servers)
        if stun > 1 or len(servers) - stun > 1:
            raise ValueError("at most one STUN and one TURN server are used")
        return servers

    @field_validator("voices_url")
    @classmethod
    def _check_bucket(cls, url: str) -> str:
        if url and "://" not in url:
            raise ValueError("it is no address of a bucket, such as s3://bucket/voices; VOICES_DIR names a folder")
        return url

    @field_validator("jobs_callback_secret")
    @classmethod
    def _check_callback_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret and (text := secret.get_secret_value()).startswith(WEBHOOK_PREFIX):
            try:
                key = base64.b64decode(text.removeprefix(WEBHOOK_PREFIX))
            except ValueError:
                key = b""
            if not key:
                raise ValueError(f"a secret that begins with {WEBHOOK_PREFIX} goes on in base64")
        return secret

    @field_validator("api_key_names")
    @classmethod
    def _check_key_names(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        keys = info.data.get("api_keys", ())
        if len(names) > len(keys):
            raise ValueError(f"it has {len(names)} names, and API_KEYS {len(keys)} keys")
        if len(set(names)) < len(names):
            raise ValueError("two keys have the same name")
        return names

    @model_validator(mode="before")
    @classmethod
    def _listen_where_the_platform_expects(cls, values: dict[str, Any]) -> dict[str, Any]:
        return platform_port() | values

    def language_model_options(self) -> LanguageModelOptions:
        """Return the options of the language model."""
        return LanguageModelOptions(
            self.llm_url,
            self.llm_model,
            self.llm_api_key.get_secret_value(),
            self.llm_api,
            self.llm_max_tokens,
            self.llm_timeout,
        )
