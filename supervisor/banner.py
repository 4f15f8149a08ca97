"""The text that the operator reads once the server is ready."""

from __future__ import annotations

import json
from collections.abc import Iterator

from supervisor.plan import Plan
from supervisor.settings import reachable

_FILE = "hello.mp3"
_MODES_WITH_VOICES = ("voice", "custom_voice")
"""The modes that synthesize a request that describes no voice."""


def banner(plan: Plan, seconds: float, *, keyed: bool) -> str:
    """Return the addresses, the models with their aliases, and commands to try them.

    `seconds` is the duration of the start; `keyed` is True if the gateway requires an API key.
    """
    settings = plan.settings
    grpc = settings.triton_grpc_address
    http = f"http://{reachable(settings.api_host)}:{settings.api_port}"
    lines = ["", f"serving at {http if settings.gateway else f'{grpc} (gRPC)'} after {seconds:.1f} s", *_models(plan)]
    if settings.gateway:
        key = ' -H "Authorization: Bearer $API_KEY"' if keyed else ""
        lines += ["", *(f"  curl {http}{request}{key}" for request in _requests(plan)), ""]
        lines.append(f"page: {http}/   documentation: {http}/docs   Triton: {grpc} (gRPC)")
    return "\n".join([*lines, "stop with Ctrl-C"])


def _models(plan: Plan) -> Iterator[str]:
    served = {model.id for model in plan.models}
    first = {alias: next((id_ for id_ in ids if id_ in served), "") for alias, ids in plan.catalogue.aliases.items()}
    for model in plan.models:
        aliases = [alias for alias, id_ in first.items() if id_ == model.id]
        yield f"  {model.id}: {model.kind}" + (f", also as {', '.join(aliases)}" if aliases else "")


def _requests(plan: Plan) -> Iterator[str]:
    speech = next((model for model in plan.models if model.mode in _MODES_WITH_VOICES), None)
    transcription = next((model for model in plan.models if model.kind == "transcription"), None)
    if speech:
        body = json.dumps({"model": speech.id, "input": "Hello from Tritone.", "response_format": "mp3"})
        yield f"/v1/audio/speech -o {_FILE} -H 'Content-Type: application/json' -d '{body}'"
    if transcription:
        yield f"/v1/audio/transcriptions -F model={transcription.id} -F file=@{_FILE}"
