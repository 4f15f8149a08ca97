"""The settings of the language model, and of the surfaces that answer with it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, Field, SecretStr

from gateway.core.language_model import LanguageModelOptions


class LanguageModelSettings(BaseModel):
    """Part of `GatewaySettings`."""

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
