"""The settings of jobs and their workers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, SecretStr, field_validator

from gateway.settings.fields import Names

WEBHOOK_PREFIX: Final = "whsec_"
"""Begins a secret for callbacks whose rest is base64, as the Standard Webhooks have it."""


class JobSettings(BaseModel):
    """Part of `GatewaySettings`."""

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
