"""The cheapest clients that there are: a kept HTTP connection, and gRPC's own stub. Both block."""

from __future__ import annotations

import http.client
import io
import json
import select
import socket
import time
import wave
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2_grpc

from gateway.core.wire import inference_request, response_tensors
from tritone.contract import LISTEN_RATE, SpeechOptions, TranscriptionOptions

SPEECH_MODEL = "kokoro-82m"
TRANSCRIPTION_MODEL = "whisper-base"
VOICE = "af_heart"
_BOUNDARY = "----------------benchmark"
_TIMEOUT = 300.0


@dataclass
class Spoken:
    """A speech: the seconds to its first audio and to its last, and its audio's bytes."""

    first: float
    whole: float
    audio: bytes


class HttpClient:
    """Sends requests to a gateway, one after the other."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=_TIMEOUT)

    def speak(self, text: str, audio_format: str = "pcm") -> Spoken:
        """Return the speech of `text`."""
        body = {"model": SPEECH_MODEL, "input": text, "voice": VOICE, "response_format": audio_format}
        self._connect()
        began = time.perf_counter()
        response = self._send("/v1/audio/speech", json.dumps(body).encode(), "application/json")
        audio = response.read(1)
        first = time.perf_counter() - began
        audio += response.read()
        return Spoken(first, time.perf_counter() - began, audio)

    def transcribe(self, recording: bytes) -> float:
        """Return the seconds to the transcript of a WAV file in English."""
        self._connect()
        began = time.perf_counter()
        form = _form({"model": TRANSCRIPTION_MODEL, "language": "en"}, recording)
        text = self._send("/v1/audio/transcriptions", form, f"multipart/form-data; boundary={_BOUNDARY}").read()
        seconds = time.perf_counter() - began
        assert json.loads(text)["text"]
        return seconds

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _connect(self) -> None:
        """Connect, unless there is a connection that the gateway has not closed, as it does with idle ones."""
        if self._connection.sock and not select.select([self._connection.sock], [], [], 0)[0]:
            return
        self._connection.close()
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _send(self, path: str, body: bytes, content_type: str) -> http.client.HTTPResponse:
        self._connection.request("POST", path, body, {"content-type": content_type})
        response = self._connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {response.read()!r}")
        return response


class GrpcClient:
    """Sends requests to a Triton, one after the other."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def speak(self, text: str) -> float:
        """Return the seconds to the first audio of `text`; the rest is read too."""
        inputs = {"text": np.array([text.encode()], dtype=np.object_)}
        return self._first(SPEECH_MODEL, inputs, SpeechOptions(voice=VOICE).to_parameters(), "audio")

    def transcribe(self, samples: NDArray[np.float32]) -> float:
        """Return the seconds to the transcript of a window."""
        parameters = TranscriptionOptions(language="en", clip=True).to_parameters()  # as the gateway
        return self._first(TRANSCRIPTION_MODEL, {"audio": samples[None]}, parameters, "segment_text")

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _first(self, model: str, inputs: Any, parameters: Any, output: str) -> float:
        began, first = time.perf_counter(), 0.0
        request = inference_request(model, inputs, parameters)
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        for response in self._stub.ModelStreamInfer(iter([request]), timeout=_TIMEOUT):
            if response.error_message:
                raise RuntimeError(response.error_message)
            if not first and output in response_tensors(response.infer_response):
                first = time.perf_counter() - began
        assert first
        return first


def wav_file(pcm: bytes, rate: int = LISTEN_RATE) -> bytes:
    """Return a WAV file of int16 samples."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()


def _form(fields: dict[str, str], recording: bytes) -> bytes:
    parts = [
        f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="speech.wav"\r\n\r\n'
    return "".join([*parts, head]).encode() + recording + f"\r\n--{_BOUNDARY}--\r\n".encode()
