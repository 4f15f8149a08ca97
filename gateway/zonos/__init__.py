"""The Zonos service that Tritone replaces: registered speakers, speech with emotions, and an assistant that speaks."""

from __future__ import annotations

from typing import Final

from gateway.surfaces import Surface
from gateway.zonos.protocol import FIELD_NAMES, Failure, error_response
from gateway.zonos.router import PREFIX, router
from gateway.zonos.serving import JOB_ID

SURFACE: Final = Surface(
    router,
    open_paths=frozenset({f"{PREFIX}/health"}),
    prefix=f"{PREFIX}/",
    exposed_headers=(JOB_ID,),
    error_response=error_response,
    error_model=Failure,
    field_names=FIELD_NAMES,
)
