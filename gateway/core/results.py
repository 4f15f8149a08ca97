"""The result of a job in a bucket, and its name. `gateway.core.result_store` keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]
"""The end of a job, as its notice says it; all of it is JSON."""


@dataclass(frozen=True)
class ResultKey:
    """The name of a job."""

    kind: str
    job_id: str
    request: str
    """A digest of the request: another request must not get this one's result."""
    owner: str = ""
    """The client, if there are several; each has its own jobs."""

    @property
    def folder(self) -> str:
        """The folder of its objects."""
        return "/".join(filter(None, (self.kind, self.owner, self.job_id)))


@dataclass(frozen=True)
class Output:
    """The result of a job."""

    facts: Record
    audio: bytes = b""
    suffix: str = ""
    """The ending of the audio's name: `mp3`."""
    media_type: str = ""
