"""The settings of registered voices."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, field_validator


class VoiceSettings(BaseModel):
    """Part of `GatewaySettings`."""

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

    @field_validator("voices_url")
    @classmethod
    def _check_bucket(cls, url: str) -> str:
        if url and "://" not in url:
            raise ValueError("it is no address of a bucket, such as s3://bucket/voices; VOICES_DIR names a folder")
        return url
