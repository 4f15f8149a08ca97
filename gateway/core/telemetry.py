"""The measurements that a use case reports of its work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class WorkTelemetry:
    """The record of one piece of work. It never holds text, audio, voices or keys."""

    request_id: str
    """Also the id of the requests to Triton."""
    model: str | None = None
    """The id of the model that does the work."""
    audio_seconds: float = 0.0
    """Seconds of audio synthesized or transcribed so far."""
    caller: str = ""
    """The caller's address, or a digest of its key."""
    owner: str = ""
    """The client as the owner of voices: a digest of its key, or, without keys, the same for all; empty: none."""
    expected_seconds: float = 0.0
    """Estimated seconds of audio of the whole work, where they are known before it."""
    continues: bool = False
    """True for a part of a request whose first part counts as the request."""

    def part(self, name: str = "", *, continues: bool = False) -> WorkTelemetry:
        """Return the record of a part of the work, for the same client."""
        request_id = f"{self.request_id}-{name}" if name else self.request_id
        return WorkTelemetry(request_id, caller=self.caller, owner=self.owner, continues=continues)

    @property
    def work_seconds(self) -> float:
        """Seconds of audio that the work holds, as far as they are known."""
        return max(self.expected_seconds, self.audio_seconds)
