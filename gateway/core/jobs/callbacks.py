"""Callbacks: a signed POST to the client's address when a job has ended, as the Standard Webhooks specify.

Signature: base64 of HMAC-SHA256 over `id.timestamp.body`, in the header `webhook-signature`, as OpenAI's SDK checks it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Final

from gateway.audio.download import post
from gateway.core.jobs.job import JobStatus
from gateway.settings import GatewaySettings
from gateway.settings.jobs import WEBHOOK_PREFIX
from tritone.errors import InvalidInput

FIELD: Final = "callback_url"
PAUSES: Final = (5.0, 30.0, 120.0, 600.0, 3600.0, 4 * 3600.0)
"""Seconds between the attempts to deliver a callback."""


def check_callback(url: str, settings: GatewaySettings) -> None:
    """Raise `InvalidInput` if callbacks are off, or `url` is no address; its host is looked up when it is called."""
    if settings.jobs_callback_secret is None:
        raise InvalidInput(FIELD, "callbacks are off here (JOBS_CALLBACK_SECRET); poll the job instead")
    check_url(url, FIELD)


def check_url(url: str, field: str) -> None:
    """Raise `InvalidInput` if `url` is not the address of an http or https server."""
    if not url.lower().startswith(("http://", "https://")) or not url.isascii():
        raise InvalidInput(field, "send an http or https address")


async def deliver(job_id: str, status: JobStatus, url: str, settings: GatewaySettings) -> bool:
    """Send the callback once, and return whether the client's server took it (a status of 2xx)."""
    body = json.dumps(
        {
            "id": f"evt_{job_id}",
            "object": "event",
            "type": f"audio.job.{status}",
            "created_at": int(time.time()),
            "data": {"id": job_id},
        }
    ).encode()
    assert settings.jobs_callback_secret
    headers = signed_headers(f"evt_{job_id}", body, settings.jobs_callback_secret.get_secret_value(), int(time.time()))
    try:
        status_code = await post(url, body, headers, settings.jobs_hosts, field=FIELD)
    except InvalidInput:
        return False
    return 200 <= status_code < 300


def signed_headers(event_id: str, body: bytes, secret: str, timestamp: int) -> dict[str, str]:
    """Return the headers of a callback; a secret with the prefix `whsec_` is base64, any other is taken as it is."""
    key = (
        base64.b64decode(secret.removeprefix(WEBHOOK_PREFIX)) if secret.startswith(WEBHOOK_PREFIX) else secret.encode()
    )
    signed = f"{event_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }
