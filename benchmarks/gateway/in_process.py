"""Kokoro without Triton: a process in Kokoro's environment, which speaks each line that it gets.

It writes a line when it is ready, and after each text the seconds to the first audio.
"""

from __future__ import annotations

import json
import queue
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

MODEL = "kokoro-82m"


class _Sender:
    """The sender of a request, which notes when each response is sent."""

    def __init__(self) -> None:
        self.sent: queue.Queue[tuple[float, bool]] = queue.Queue()
        """The moment of each response, and whether it is the last."""

    def send(self, response: object = None, flags: int = 0) -> None:
        """Note a response."""
        self.sent.put((time.perf_counter(), bool(flags)))

    def is_cancelled(self) -> bool:
        """Return False: the client waits."""
        return False


def first_audio(model: Any, stand_in: Any, voice: str, text: str) -> float:
    """Return the seconds to the first audio of `text`, when the last is made."""
    request = stand_in.InferenceRequest({"text": np.array([text.encode()], np.object_)}, json.dumps({"voice": voice}))
    request.sender = sender = _Sender()
    began = time.perf_counter()
    model.execute([request])
    first, ended = sender.sent.get(timeout=300)
    while not ended:
        _, ended = sender.sent.get(timeout=300)
    return first - began


def main() -> None:
    """Serve until the input ends; each line of it is a voice, a space and a text."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "stand_ins"))
    stand_in = import_module("triton_python_backend_utils")  # no server runs
    model = import_module("adapters.kokoro.model").TritonPythonModel()
    model.initialize(
        {
            "model_name": MODEL,
            "model_config": "{}",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
    )
    print("ready", flush=True)
    for line in sys.stdin:
        voice, _, text = line.strip().partition(" ")
        print(first_audio(model, stand_in, voice, text), flush=True)
    model.finalize()


if __name__ == "__main__":
    main()
