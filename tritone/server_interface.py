"""The interface of the model `tritone`: the models of a server, for gateways."""

from __future__ import annotations

from dataclasses import dataclass

from tritone.interface import Interface, Tensor
from tritone.options import Options, check_range, option
from tritone.voice_key import check_voice_key

PING_SECONDS = 20
"""Seconds of silence after which a gateway sends a ping to a server; the server must accept them at this rate."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions(Options):
    """The request parameters of the `tritone` model."""

    version: int = option(-1, doc="The version that the client has; while it is the current one, the request waits.")
    wait_seconds: float = option(0.0, unit="s", doc="The longest wait for a change, at most 30; 0: answer at once.")
    load: str = option(
        "", doc="The id of a model that is in use: if it is idle it is loaded, and it counts as used at this moment."
    )

    forget_voice: str = option(
        "", doc="The `voice_key` of a voice that was deleted: after the response, no model of this server holds it."
    )

    def check(self) -> None:
        """Raise `InvalidInput` for a wait that is too long, or a text that is no key."""
        check_range("wait_seconds", self.wait_seconds, 0, 30)
        if self.forget_voice:
            check_voice_key("forget_voice", self.forget_voice)


SERVER = Interface(
    inputs=(),
    options=ServerOptions,
    outputs=(Tensor("document", "BYTES", (1,), "JSON", "The models of this server and their states."),),
)
