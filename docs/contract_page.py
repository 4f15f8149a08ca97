"""The page docs/contract.md, made from the contract and the catalogue; `python -m docs.generate` writes it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Final

from tritone.catalogue import Catalogue
from tritone.contract import (
    INTERFACES,
    LONG_TRANSCRIPTION,
    SERVER,
    SPEECH,
    STREAMED_TRANSCRIPTION,
    TRANSCRIPTION,
    VOICE_CLONE,
    Interface,
    SpeechDescription,
    Tensor,
    TranscriptionDescription,
    Voice,
)
from tritone.families import Kind
from tritone.options import Options
from tritone.served import ServedDocument, ServedModel

_INTRODUCTION = """\
# The contract

<!-- Made by `python -m docs.generate`; edit docs/contract_page.py and tritone/contract.py instead. -->

The inputs and outputs of the models over Triton's gRPC. They are the same for the gateway, for internal services and
for perf_analyzer. A model's name in Triton is its id, and the name of its folder in `model_repository/`.

Inputs that every request has are tensors. Optional values are **request parameters**, because optional tensors split
Triton's batches. Numbers and booleans may be sent as text.

## How to call

- **Speech** is decoupled: call `ModelStreamInfer`, one request for each stream, and read any number of responses. Set
  the parameter `triton_enable_empty_final_response`, or read until `finish_reason` arrives. No batch dimension.
- **Transcription** has one window in and one response out: call `ModelInfer`, with a batch dimension of 1 before every
  shape below. Triton puts windows of different clients into one batch. Send the first window of a recording with
  priority 1, the others with priority 2 (the default) and `background`, and at most four at once. Then long recordings
  do not delay short ones. Or send the whole recording to `transcription-long`.
- **Set a deadline.** A busy model answers late, and Triton does not end a call by itself. A call is cancelled when its
  deadline passes, and its work is dropped. If your client cannot set a deadline, send Triton's request parameter
  `timeout` (int64, microseconds from the request's arrival in the model to its last response): when the time is over, a
  waiting request is rejected as overloaded, and a running one ends with `deadline: ...`. A batch of Whisper that has
  begun is not interrupted, nor does the time count that a window waits in Triton's own queue.
- **Cancel work that you no longer need**: cancel the gRPC call. The model checks for it before each piece of work.
- **Avoid two faults of Triton 2.51**, the embedded server. Each can crash it, with all its models. (1) Never open a
  stream with the metadata `triton_grpc_error: true`: an error that a model sends at once ends the process. (2) A unary
  `ModelInfer` that is cancelled, or passes its deadline, at the moment when it ends may do the same (seen once in some
  thousand cancelled calls). Clients that cancel should call transcription through `ModelStreamInfer` too, as the
  gateway does.
- **Read a stream to its end**, past `finish_reason` and past an error. When a client leaves a stream between the last
  response and the end of the stream, Triton 2.51 cannot unload the model and does not stop in time.
- **Raise the client's receive limit** (`grpc.max_receive_message_length`): gRPC's default is 4 MB.

## Errors

A unary call ends with the gRPC status. A stream carries only the text, in `error_message`.

| gRPC status | meaning |
|---|---|
| `INVALID_ARGUMENT` | the request is invalid; the message begins with the name of the tensor or parameter and a colon |
| `UNAVAILABLE` | the model is at capacity (`overloaded: ...`) and has done nothing; try again later |
| `NOT_FOUND` | `unknown_voice: ...`: the model does not hold this voice and has done nothing; send its `ref_audio` |
| `CANCELLED` | the client cancelled, or the call's deadline passed; `deadline: ...`: the request's `timeout` passed |
| `INTERNAL` | a fault of the model; its log has the details |

A text that begins with `overloaded:` may end in `; try again in N s`, the model's estimate as a whole number. If it
does not, increase the delay from one try to the next.
"""

_OPTIONS_INTRODUCTION = """\
A model rejects a parameter that it does not support. Its `description` lists those of the loaded checkpoint; the column
*models* shows the models of the catalogue (`*`: any ending). A parameter without a default here has that of the
checkpoint."""

_DESCRIPTION_INTRODUCTION = """\
With the parameter `describe`, the response holds `description`: a JSON object with the model's abilities."""

_SPEECH_DESCRIPTION = """\
With `mixes_voices`, the parameter `voice` may be a mix: `af_bella+af_sky`, or `af_bella(2)+af_sky(1)` with weights.
With `pronounces`, the text may hold a word with its pronunciation in the IPA, between Unicode's characters for
annotations: U+FFF9, the word, U+FFFA, the IPA, U+FFFB."""

_TRANSCRIPTION_DESCRIPTION = """\
Send any audio with it, for example 1600 samples of silence, and request only the output `description`."""

_LONG_INTRODUCTION = """\
`transcription-long` transcribes a recording of any length with a transcription model of the same server, which the
parameter `model` names. It is decoupled and has no batch dimension. It sends one response for each window with speech,
in order; all times are from the recording's start. A recording without speech gives only the empty final response.

It cuts the recording at silences as the gateway does. At most four windows at once go to the transcription model, in
the language of the first window with a confident detection, and all but the first with `background`. (Calls from one
model to another have no priority in Triton 2.51; it would matter only where more than one batch is queued.) When the
client cancels, no further window is started.

The recording passes through shared memory, 230 MB for each hour: give a container enough /dev/shm."""

_VOICE_KEY = """\
### The voice's key

A recording needs to travel once. Send `voice_key` with `ref_audio`; the model then holds the voice, and later requests
send `voice_key` without `ref_audio`, `ref_text` and `x_vector_only`. A model that does not hold the voice (another
instance or server, a restart, eviction after VOICE_KEY_SECONDS or beyond VOICE_KEY_MB) answers `unknown_voice: ...`
before it does anything: send the request again with the recording.

The key is a hash of the content, in hexadecimal:

```python
digest = hashlib.sha256(ref_audio.astype("<f4").tobytes()).digest()
voice_key = hashlib.sha256(digest + (b"\\1" if x_vector_only else b"\\0" + ref_text.encode())).hexdigest()
```

The model computes it too, and rejects a `voice_key` that is not that of the recording. So no caller can put another
voice under a key. A caller can use a voice if it has the recording or was told the key: a key is as confidential as its
recording, and models do not log it. When a voice is deleted, send its key to the model `tritone` of each server, as
`forget_voice`."""

_STREAMED_INTRODUCTION = """\
Some models schedule their windows themselves and are decoupled: call `ModelStreamInfer`. Their last response is that of
a transcription; with `partial_text` the text comes before it, piece by piece. Their windows may be
longer, see `window_seconds` in the description."""

_SERVER_INTRODUCTION = """\
The model `tritone` reports the models of its server and their states. It is loaded on every server, as soon as Triton
runs. It is decoupled and has no inputs; it sends one response.

To follow the changes, send the `version` of the last document and `wait_seconds`: the response comes when the document
changes, or after the wait. All waiting requests are answered at once when the server begins to stop."""

_DOCUMENT_KEYS: Final[Mapping[str, str]] = {
    "state": "`starting`, `serving` or `stopping`",
    "version": "grows with every change",
    "models": "the models that the server's settings chose, each with the keys below",
    "gpus": "the GPUs of the models, each with its memory in GB, `used` and `total`; empty on a CPU",
}
_MODEL_KEYS: Final[Mapping[str, str]] = {
    "id": "the model's name in Triton and over HTTP",
    "kind": "`speech` or `transcription`",
    "mode": "`voice`, `custom_voice`, `voice_design`, `voice_clone` or `transcribe`",
    "owner": "`owned_by` in the list of models",
    "state": "`loading`, `ready`, `failed`, `unloaded`, or `idle`: unloaded because it was not used; the parameter "
    "`load` with its id has it loaded again",
    "aliases": "other names of the model, each with a rank: the model with the lowest rank on any server gets the name",
    "voice_aliases": "OpenAI's voice name -> a voice of the model",
    "description": "the `description` of the model; null until it is loaded for the first time",
    "created": "Unix seconds of the first load; 0 before",
    "loads": "the number of times that the model was loaded; a change shows that it was loaded again",
    "lost_loads": "a call that began while `loads` was this or less is lost: every process that served it is dead",
    "idle_seconds": "the seconds without requests after which the model becomes idle; 0: never",
}
_EXAMPLE: Final = ServedDocument(
    "serving",
    (
        ServedModel(
            id="kokoro-82m",
            kind="speech",
            mode="voice",
            owner="hexgrad",
            state="ready",
            aliases={"tts-1": 2},
            voice_aliases={"alloy": "af_kore"},
            description=SpeechDescription(
                (Voice("af_heart", "Heart", "en"),),
                ("en",),
                "af_heart",
                (0.7, 1.3),
                ("voice", "language", "speed"),
                mixes_voices=True,
                pronounces=True,
            ),
            created=1790000000,
            loads=1,
        ),
        ServedModel("whisper-base", "transcription", "transcribe", "openai", "loading", {"whisper-1": 3}),
    ),
    version=7,
)
_TRANSCRIPTION_EXAMPLE: Final = TranscriptionDescription(
    ("de", "en"), ("transcribe", "translate"), ("language", "task", "prompt")
)


def page() -> str:
    """Return the whole page, as Markdown."""
    catalogue = Catalogue.load({})
    described = _EXAMPLE.models[0].description
    assert described
    return "\n".join(
        [
            _INTRODUCTION,
            _section(
                "Speech",
                SPEECH,
                _supporting(catalogue, "speech"),
                f"{_DESCRIPTION_INTRODUCTION}\n{_SPEECH_DESCRIPTION}",
                described,
            ),
            _voice_clone(),
            _section(
                "Transcription",
                TRANSCRIPTION,
                _supporting(catalogue, "transcription"),
                f"{_DESCRIPTION_INTRODUCTION}\n{_TRANSCRIPTION_DESCRIPTION}",
                _TRANSCRIPTION_EXAMPLE,
            ),
            _streamed_transcription(catalogue),
            _long_transcription(),
            _server(),
        ]
    )


def _supporting(catalogue: Catalogue, kind: Kind) -> Mapping[str, str]:
    """Return each option of a kind of model and the models that support it, as a cell of a table."""
    models = [model for model in catalogue.models.values() if model.kind == kind]
    options = INTERFACES["speech" if kind == "speech" else "transcription"].options.types()
    families: dict[str, list[str]] = {}
    for model in models:
        families.setdefault(model.family, []).append(model.id)
    found = {}
    for name in options:
        ids = {model.id for model in models if name in model.options}
        # The base class of the adapters serves `describe` and `background`, whatever the model.
        if len(ids) == len(models) or name in ("describe", "background"):
            found[name] = "all"
        else:
            found[name] = ", ".join(f"`{id_}`" for members in families.values() for id_ in _shortened(members, ids))
    return found


def _shortened(family: Sequence[str], ids: Container[str]) -> Sequence[str]:
    """Return those of a family's models that are in `ids`; for all of several, their common beginning and `*`."""
    found = [id_ for id_ in family if id_ in ids]
    if len(found) < len(family) or len(family) == 1:
        return found
    common = takewhile(lambda pair: pair[0] == pair[1], zip(min(found), max(found), strict=False))
    return ["".join(char for char, _ in common) + "*"]


def _section(
    title: str,
    interface: Interface,
    supporting: Mapping[str, str],
    describe: str,
    example: SpeechDescription | TranscriptionDescription,
) -> str:
    parts = [f"## {title}", "### Inputs", _tensors(interface.inputs)]
    parts += ["### Request parameters", _OPTIONS_INTRODUCTION, _options(interface.options, supporting)]
    parts += ["### Outputs", _tensors(interface.outputs)]
    if interface.final_outputs:
        parts += ["### Outputs of the last response", _tensors(interface.final_outputs)]
    parts += ["### Description", describe, _json(example.to_json())]
    return "\n\n".join(parts) + "\n"


def _voice_clone() -> str:
    more = [tensor for tensor in VOICE_CLONE.inputs if tensor not in SPEECH.inputs]
    return "\n\n".join(["## Voice clone", "As speech, with one more input:", _tensors(more), _VOICE_KEY]) + "\n"


def _streamed_transcription(catalogue: Catalogue) -> str:
    models = [f"`{id_}`" for id_, model in catalogue.models.items() if model.interface == "streamed_transcription"]
    parts = ["## Transcription with the text as it is decoded", _STREAMED_INTRODUCTION, f"Models: {', '.join(models)}."]
    parts += ["### Outputs", "Those of a transcription, and:", _tensors(STREAMED_TRANSCRIPTION.outputs)]
    return "\n\n".join(parts) + "\n"


def _long_transcription() -> str:
    outputs = [tensor for tensor in LONG_TRANSCRIPTION.outputs if tensor not in TRANSCRIPTION.outputs]
    options = [name for name in LONG_TRANSCRIPTION.options.types() if name not in TRANSCRIPTION.options.types()]
    parts = ["## Transcription of a recording of any length", _LONG_INTRODUCTION]
    parts += ["### Inputs", _tensors(LONG_TRANSCRIPTION.inputs)]
    parts += ["### Request parameters", "Those of the transcription model except `describe`, and:"]
    parts += [_options(LONG_TRANSCRIPTION.options, only=options)]
    parts += ["### Outputs", "Those of the transcription model except `description`, and:", _tensors(outputs)]
    return "\n\n".join(parts) + "\n"


def _server() -> str:
    parts = ["## The models of a server", _SERVER_INTRODUCTION]
    parts += ["### Request parameters", _options(SERVER.options), "### Outputs", _tensors(SERVER.outputs)]
    parts += ["### The document", _json(_EXAMPLE.to_json())]
    parts += [_keys("key", _DOCUMENT_KEYS), _keys("key of a model", _MODEL_KEYS)]
    parts += ["Ignore keys that you do not know: a newer server may send more."]
    return "\n\n".join(parts) + "\n"


def _tensors(tensors: Iterable[Tensor]) -> str:
    rows = [(f"`{t.name}`", t.dtype, str(list(t.shape)), t.unit, t.doc) for t in tensors]
    return _table(("tensor", "type", "shape", "unit", "meaning"), rows)


def _options(
    options: type[Options], supporting: Mapping[str, str] | None = None, only: Sequence[str] | None = None
) -> str:
    """Return the table of the parameters, or of those in `only`; `supporting` adds a column of models."""
    words = {str: "string", bool: "bool", int: "int64", float: "double"}
    types = options.types()
    rows = []
    for f in dataclasses.fields(options):
        if only is not None and f.name not in only:
            continue
        models = () if supporting is None else (supporting[f.name],)
        rows.append(
            (f"`{f.name}`", words[types[f.name]], _default(f.default), f.metadata["unit"], *models, f.metadata["doc"])
        )
    heads = ("parameter", "type", "default", "unit", *(() if supporting is None else ("models",)), "meaning")
    return _table(heads, rows)


def _default(value: object) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


def _keys(head: str, meanings: Mapping[str, str]) -> str:
    return _table((head, "meaning"), [(f"`{key}`", meaning) for key, meaning in meanings.items()])


def _json(text: str) -> str:
    indented = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    lists_on_one_line = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", indented)
    return f"```json\n{lists_on_one_line}\n```"


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
