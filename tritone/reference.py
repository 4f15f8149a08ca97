"""The contract's documentation page, made from the contract; `python -m docs.generate` writes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tritone.contract import LONG_TRANSCRIPTION, SPEECH, TRANSCRIPTION, VOICE_CLONE, Interface, Tensor
from tritone.options import Options

_INTRODUCTION = """\
# The contract

<!-- Made by `python -m docs.generate`; edit tritone/contract.py instead. -->

What every model takes and gives over Triton's gRPC, the same for the gateway, for an internal service and for
perf_analyzer. A model's folder below `model_repository/` is its name. What a caller may leave out travels as a
**request parameter**, because optional tensors split Triton's batches; numbers may be sent as text.

## How to call

- **Speech** is decoupled: `ModelStreamInfer`, one request a stream, any number of responses. Ask for
  `triton_enable_empty_final_response` or read on until `finish_reason` arrives. A model takes no batch dimension.
- **Transcription** is one window in and one response out: `ModelInfer`, with a batch dimension of 1 in front of every
  shape below. Triton pools the windows of different callers by itself. Send a recording's first window with priority
  1, the others with 2 (the default) and `background`, and at most four at once: long recordings then do not hold up
  short ones.
- **Set a deadline.** A model answers late when it has much to do, and nothing in Triton ends a call for you. A call
  whose deadline passes is cancelled, and its work is dropped. Where your client cannot set one, Qwen3-TTS keeps
  Triton's own request parameter `timeout` (int64, microseconds from the request's arrival to its last response): a
  request that still waits then is refused as overloaded, and one that is being spoken ends in `deadline: ...`. The
  other models pass over it.
- **Cancel what you no longer need**: cancel the gRPC call. The model looks before every piece of work.
- **Mind Triton 2.51**, the embedded server: two things can crash it, and every model with it. Never open a stream with
  the metadata `triton_grpc_error: true`: an error that a model sends at once ends the process. And a unary `ModelInfer`
  that is cancelled, or whose deadline passes, in the very moment in which it ends, may do the same (seen once in some
  thousand cancelled calls): who cancels, calls transcription through `ModelStreamInfer` as well, as the gateway does.
- **Read a stream to its very end**, past `finish_reason` and past an error: Triton 2.51 neither unloads a model nor
  stops in time when a client has left a stream between its last response and its end.
- **Raise the client's receive limit** (`grpc.max_receive_message_length`): gRPC's default is 4 MB.

## Errors

A unary call ends with the status; a stream carries the text alone, in `error_message`.

| gRPC status | meaning |
|---|---|
| `INVALID_ARGUMENT` | the caller's fault; the message begins with the tensor's or the parameter's name and a colon |
| `UNAVAILABLE` | the model takes no more, or not in time (`overloaded: ...`), and has done nothing; try again later |
| `CANCELLED` | the caller cancelled, or its deadline passed; `deadline: ...` where it was the request's own `timeout` |
| `INTERNAL` | the model's own fault; its log says more |

A text that begins with `overloaded:` may end in `; try again in N s`, N a whole number: there will probably be room by
then. Where it does not, let the delay grow from one try to the next.
"""

_LONG_INTRODUCTION = """\
Every transcription model `<id>` has a companion `<id>-long`: decoupled, without a batch dimension, a response for each
window with speech in it, in order; all times are from the recording's start. It cuts the recording at silences as the
gateway does and has the windows heard by `<id>`, at most four at once, in the language of the first window that is
certain of its own, and all but the first in the `background`. (Calls of one model by another carry no priority in 2.51;
it would only tell where more than a batch is queued.) When the caller leaves, no further window is begun. A recording
without speech gives no response but the empty final one.

The recording passes through shared memory, 230 MB an hour: give a container as much /dev/shm. The parameters and the
other outputs are those of `<id>`."""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join(
        [
            _INTRODUCTION,
            _section("Speech", SPEECH),
            _voice_clone(),
            _section("Transcription", TRANSCRIPTION),
            _long_transcription(),
        ]
    )


def _voice_clone() -> str:
    more = [tensor for tensor in VOICE_CLONE.inputs if tensor not in SPEECH.inputs]
    return "\n\n".join(["## Voice clone", "As speech, with one more input:", _tensors(more)]) + "\n"


def _long_transcription() -> str:
    more = [tensor for tensor in LONG_TRANSCRIPTION.outputs if tensor not in TRANSCRIPTION.outputs]
    parts = ["## Transcription of a recording of any length", _LONG_INTRODUCTION]
    parts += ["### Inputs", _tensors(LONG_TRANSCRIPTION.inputs), "### Further outputs", _tensors(more)]
    return "\n\n".join(parts) + "\n"


def _section(title: str, interface: Interface) -> str:
    parts = [f"## {title}", "### Inputs", _tensors(interface.inputs)]
    parts += ["### Request parameters", _options(interface.options)]
    parts += ["### Outputs", _tensors(interface.outputs)]
    if interface.final_outputs:
        parts += ["### Outputs of the last response", _tensors(interface.final_outputs)]
    return "\n\n".join(parts) + "\n"


def _tensors(tensors: Iterable[Tensor]) -> str:
    rows = [(f"`{t.name}`", t.dtype, str(list(t.shape)), t.unit, t.doc) for t in tensors]
    return _table(("tensor", "type", "shape", "unit", ""), rows)


def _options(options: type[Options]) -> str:
    words = {str: "string", bool: "bool", int: "int64", float: "double"}
    kinds = options.types()
    rows = [
        (f"`{f.name}`", words[kinds[f.name]], _default(f.default), f.metadata["unit"], _meaning(f.metadata))
        for f in dataclasses.fields(options)
    ]
    return _table(("parameter", "type", "default", "unit", ""), rows)


def _default(value: object) -> str:
    return "the checkpoint's" if value is None else f"`{value!r}`"


def _meaning(metadata: Mapping[str, Any]) -> str:
    models = ", ".join(f"`{model}`" for model in metadata["followed_by"])
    return f"{metadata['doc']} Followed by {models}." if models else metadata["doc"]


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
