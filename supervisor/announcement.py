"""What a person reads once everything serves."""

from __future__ import annotations

import json
from collections.abc import Iterator

from supervisor.plan import Plan
from supervisor.settings import reachable

_HEARD = "hello.mp3"
_NAMED_VOICES = ("voice", "custom_voice")
"""The modes that speak without being told whose voice it is."""


def announcement(plan: Plan, seconds: float, *, keyed: bool) -> str:
    """Where it serves, which models answer to which names, and lines to try it with.

    `seconds` is what the start took; `keyed`, whether the gateway asks its clients for a key.
    """
    settings = plan.settings
    grpc = settings.triton_grpc_address
    http = f"http://{reachable(settings.api_host)}:{settings.api_port}"
    lines = ["", f"serving at {http if settings.gateway else f'{grpc} (gRPC)'} after {seconds:.1f} s", *_names(plan)]
    if settings.gateway:
        key = ' -H "Authorization: Bearer $API_KEY"' if keyed else ""
        lines += ["", *(f"  curl {http}{request}{key}" for request in _requests(plan)), ""]
        lines.append(f"documentation: {http}/docs   Triton: {grpc} (gRPC)")
    return "\n".join([*lines, "stop with Ctrl-C"])


def _names(plan: Plan) -> Iterator[str]:
    names = plan.catalogue.names(plan.models)
    for model in plan.models:
        aliases = [n for n in names if n != model.id and plan.catalogue.resolve(n, plan.models) is model]
        does = "speaks" if model.kind == "speech" else "listens"
        yield f"  {model.id} {does}" + (f", also as {', '.join(aliases)}" if aliases else "")


def _requests(plan: Plan) -> Iterator[str]:
    speaks = next((model for model in plan.models if model.mode in _NAMED_VOICES), None)
    listens = next((model for model in plan.models if model.kind == "transcription"), None)
    if speaks:
        body = json.dumps({"model": speaks.id, "input": "Hello from Tritone.", "response_format": "mp3"})
        yield f"/v1/audio/speech -o {_HEARD} -H 'Content-Type: application/json' -d '{body}'"
    if listens:
        yield f"/v1/audio/transcriptions -F model={listens.id} -F file=@{_HEARD}"
