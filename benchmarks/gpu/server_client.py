"""A client process: it sends the requests of each line of its input, and answers with a line of figures.

A line is JSON: `way` (`gateway` or `Triton`), `starts` (seconds from now), and `texts`, `voices` and `frames` of as
many requests. It runs in the environment `gateway`, and takes no time from the engine's threads.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2_grpc

from benchmarks.gpu.playback import Playback, of_load, open_loop
from gateway.core.wire import inference_request, response_tensors
from tritone.contract import SpeechOptions

_SECONDS = 120
_MOST = 128
"""Requests at the same time."""
_STREAMED = "triton_enable_empty_final_response"

Chunks = Iterator[NDArray[np.int16]]
Send = Callable[[str, str, int, int], Chunks]
"""Text, voice, frames and seed -> the audio as it arrives."""


def gateway(port: int, model: str) -> Send:
    """Return the way over HTTP."""

    def send(text: str, voice: str, frames: int, seed: int) -> Chunks:
        body = {"model": model, "input": text, "voice": voice, "response_format": "pcm"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
        content = json.dumps({**body, "language": "en", "max_new_tokens": frames + 1, "seed": seed})
        connection.request("POST", "/v1/audio/speech", content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(f"{response.status}: {response.read(500).decode()}")
        rest = b""
        while piece := response.read1():
            whole = rest + piece
            even = len(whole) // 2 * 2
            rest = whole[even:]
            if even:
                yield np.frombuffer(whole[:even], np.int16)
        connection.close()

    return send


def triton(port: int, model: str) -> Send:
    """Return the way over gRPC."""
    stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}"))

    def send(text: str, voice: str, frames: int, seed: int) -> Chunks:
        options = SpeechOptions(voice=voice, language="en", max_new_tokens=frames + 1, seed=seed)
        inputs = {"text": np.array([text.encode()], dtype=np.object_)}
        request = inference_request(model, inputs, options.to_parameters())
        request.parameters[_STREAMED].bool_param = True
        for response in stub.ModelStreamInfer(iter([request]), timeout=_SECONDS):
            if response.error_message:
                raise RuntimeError(response.error_message)
            audio = response_tensors(response.infer_response).get("audio")
            if audio is not None and audio.size:
                yield audio.ravel()

    return send


def run(plan: dict[str, Any], ways: dict[str, Send], clients: ThreadPoolExecutor) -> dict[str, float]:
    """Send the requests of a plan, and wait for the last."""
    send = ways[plan["way"]]

    def play(index: int, planned: float) -> Playback:
        playback = Playback(planned)
        for audio in send(plan["texts"][index], plan["voices"][index], plan["frames"][index], index):
            playback.add(time.monotonic(), audio.astype(np.float32) / 32768)
        return playback

    answers, late = open_loop(plan["starts"], lambda index, planned: clients.submit(play, index, planned))
    return of_load([answer.result() for answer in answers], late)


def main() -> None:
    """Serve until the input ends; the arguments are the ports of the gateway and of Triton, and the model."""
    gateway_port, triton_port, model = sys.argv[1:]
    ways = {"gateway": gateway(int(gateway_port), model), "Triton": triton(int(triton_port), model)}
    with ThreadPoolExecutor(_MOST) as clients:
        for line in sys.stdin:
            print(json.dumps(run(json.loads(line), ways, clients)), flush=True)


if __name__ == "__main__":
    main()
