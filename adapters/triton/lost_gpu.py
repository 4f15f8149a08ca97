"""The error of the requests that a lost GPU ends."""

from __future__ import annotations

from tritone.errors import Overloaded


class GpuLost(Overloaded):
    """The GPU is lost for this process, as it is after some errors: only a new process can use it again."""

    def __init__(self) -> None:
        super().__init__("the GPU has failed; the model is being reloaded")
