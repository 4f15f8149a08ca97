"""A client of the gateway with nothing but the standard library."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from tools.containers.console import Failure

SENTENCE = "The quick brown fox jumps over the lazy dog."
_TIMEOUT = 600
_open = build_opener(ProxyHandler({})).open


def post(url: str, body: bytes, content_type: str, accept: str = "*/*") -> bytes:
    """Return the response to `body`. Raises OSError and HTTPException."""
    with _open(Request(url, body, {"Content-Type": content_type, "Accept": accept}), timeout=_TIMEOUT) as answer:
        return bytes(answer.read())


def speak(url: str, text: str = SENTENCE) -> bytes:
    """Return `text` as mp3. Raises OSError and HTTPException."""
    body = json.dumps({"model": "tts-1", "voice": "alloy", "input": text}).encode()
    return post(f"{url}/v1/audio/speech", body, "application/json")


def hear(url: str, audio: bytes) -> str:
    """Return the transcript of an mp3. Raises OSError and HTTPException."""
    boundary = uuid.uuid4().hex
    model = f'--{boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="speech.mp3"\r\n\r\n'
    body = model.encode() + file.encode() + audio + f"\r\n--{boundary}--\r\n".encode()
    answer = post(f"{url}/v1/audio/transcriptions", body, f"multipart/form-data; boundary={boundary}")
    return str(json.loads(answer)["text"])


def check_speech(url: str, round_trip: Callable[[str], str] = lambda url: hear(url, speak(url))) -> str:
    """Speak a sentence, hear it back, and return the transcript. Raises `Failure` if the words differ."""
    try:
        heard = round_trip(url)
    except HTTPError as error:
        raise Failure(f"{url}: {error}: {error.read().decode(errors='replace')}") from error
    except (OSError, HTTPException) as error:
        raise Failure(f"{url}: {error}") from error
    if _words(heard) != _words(SENTENCE):
        raise Failure(f"{url}: {SENTENCE!r} was heard as {heard!r}")
    return heard


def get(url: str) -> str:
    """Return the text at an address. Raises OSError and HTTPException."""
    with _open(url, timeout=_TIMEOUT) as answer:
        return str(answer.read().decode())


def status(url: str, path: str) -> int:
    """Return the HTTP status of a GET, or 0 if nothing answers."""
    try:
        with _open(f"{url}{path}", timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (OSError, HTTPException):
        return 0


def wait_until(condition: Callable[[], bool], what: str, seconds: float) -> float:
    """Wait until `condition` holds; return the seconds that it took. Raises `Failure`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise Failure(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)
    return round(time.monotonic() - began, 1)


def wait_ready(url: str, seconds: float, path: str = "/ready") -> float:
    """Wait until the gateway is ready; return the seconds that it took. Raises `Failure`."""
    return wait_until(lambda: status(url, path) == 200, f"{url}{path}", seconds)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())
