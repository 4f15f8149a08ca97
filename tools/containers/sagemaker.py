"""The image with Triton and the gateway, run as SageMaker runs it: `docker run IMAGE serve`, with the model alone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError

from tools.containers.client import SENTENCE, check_speech, get, post, status, wait_ready, wait_until
from tools.containers.console import Failure, info
from tools.containers.engine import Engine

_NAME: Final = "tritone-sagemaker"
_PORT: Final = 18080
_URL: Final = f"http://127.0.0.1:{_PORT}"
_START_SECONDS: Final = 900
_STOP_SECONDS: Final = 30
"""From SIGTERM to SIGKILL, as SageMaker has it."""
_PING_SECONDS: Final = 2
_SHORT: Final = "Good morning."
"""A request that an idle machine serves within the DRAIN_TIMEOUT of the image."""


def rehearse_sagemaker(engine: Engine, volume: str, image: str) -> dict[str, Any]:
    """Start, call and stop the image as SageMaker does, and again on another port as another user. Raises `Failure`."""
    with _running(engine, volume, image):
        results: dict[str, Any] = {"ping_after": wait_ready(_URL, _START_SECONDS, "/ping")}
        results["ping_seconds"] = _ping()
        heard = check_speech(_URL, _round_trip)
        info(f"{image}: /ping after {results['ping_after']} s; heard {heard!r}")
        results |= _stop(engine)
        info(f"{image}: stopped in {results['stop_seconds']} s; the open request was {results['open_request']}")
    with _running(engine, volume, image, "--env", "SAGEMAKER_BIND_TO_PORT=8443", "--user", "12345:0", port=8443):
        wait_ready(_URL, _START_SECONDS, "/ping")
        check_speech(_URL, _round_trip)
        results["other_port"] = {"port": 8443, "user": int(engine.inside(_NAME, "id", "-u"))}
    return results


def _ping() -> float:
    began = time.monotonic()
    answer = status(_URL, "/ping")
    seconds = round(time.monotonic() - began, 3)
    if answer != 200 or seconds > _PING_SECONDS:
        raise Failure(f"/ping answered {answer} after {seconds} s")
    return seconds


def _round_trip(url: str) -> str:
    speech = post(f"{url}/invocations", json.dumps({"input": SENTENCE}).encode(), "application/json", "audio/wav")
    return post(f"{url}/invocations", speech, "audio/wav", "text/plain").decode()


def _stop(engine: Engine) -> dict[str, Any]:
    """Stop the container while it serves a request."""
    body = json.dumps({"input": _SHORT, "stream": False}).encode()
    with ThreadPoolExecutor(1) as pool:
        speech = pool.submit(post, f"{_URL}/invocations", body, "application/json", "audio/wav")
        wait_until(lambda: speech.done() or _in_work() > 0, "a request is in work", 60)
        began = time.monotonic()
        engine.run("stop", "-t", str(_STOP_SECONDS), _NAME)
        seconds = round(time.monotonic() - began, 1)
        outcome = _outcome(speech)
    exit_status = engine.inspect(_NAME)["State"]["ExitCode"]
    if exit_status or seconds >= _STOP_SECONDS:
        raise Failure(f"the container ended with status {exit_status} after {seconds} s")
    return {"stop_seconds": seconds, "exit_status": exit_status, "open_request": outcome}


def _outcome(speech: Future[bytes]) -> str:
    """Return what became of a request that was open at SIGTERM. Raises `Failure` if its connection was cut."""
    try:
        return "served" if speech.result() else "empty"
    except HTTPError as error:
        if error.code != 503:
            raise Failure(f"the open request: {error}") from error
        return "told to try again, at the end of DRAIN_TIMEOUT"
    except (OSError, HTTPException) as error:
        raise Failure(f"the open request was cut: {error}") from error


def _in_work() -> int:
    """Return the number of requests in work, from the metrics, without the one for these."""
    found = re.search(r"^tritone_http_requests_in_flight (\d+)", get(f"{_URL}/metrics"), re.MULTILINE)
    return int(found[1]) - 1 if found else 0


@contextmanager
def _running(engine: Engine, volume: str, image: str, *options: str, port: int = 8080) -> Iterator[None]:
    _remove(engine)
    mount = ["--volume", f"{volume}:/opt/ml/model:ro", "--env", "DEVICE=cpu", "--publish", f"127.0.0.1:{_PORT}:{port}"]
    try:
        engine.run("run", "-d", "--name", _NAME, "--shm-size", "1g", *mount, *options, image, "serve")
        yield
    except Failure:
        with suppress(Failure):
            info(f"the end of the log of {_NAME}:\n" + engine.run("logs", "--tail", "20", _NAME))
        raise
    finally:
        _remove(engine)


def _remove(engine: Engine) -> None:
    with suppress(Failure):
        engine.run("rm", "--force", _NAME)
