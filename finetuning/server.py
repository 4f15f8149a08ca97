"""The server on this machine, as a client sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx2

from finetuning.errors import FineTuningError
from finetuning.progress import say
from supervisor.settings import Settings, reachable

_POLL: Final = 0.5
_REMIND: Final = 10.0
_TIMEOUT: Final = 10.0


class LocalServer:
    """The gateway of `scripts/serve`, if it runs."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self.url = f"http://{reachable(settings.api_host)}:{settings.api_port}"
        self._deadline = settings.start_timeout
        keys = [key for key in environ.get("API_KEYS", "").split(",") if key.strip()]
        self._headers = {"Authorization": f"Bearer {keys[0].strip()}"} if keys else {}

    def models(self) -> dict[str, int] | None:
        """Return the models that are served, each with the time of its first load; None if no server runs."""
        try:
            answer = httpx2.get(f"{self.url}/v1/models", headers=self._headers, trust_env=False, timeout=_TIMEOUT)
        except httpx2.TransportError:
            return None
        if answer.status_code in (401, 403):
            raise FineTuningError(f"the server at {self.url} wants a key: set API_KEYS as it has it")
        if not answer.is_success:
            return None
        return {model["id"]: int(model["created"]) for model in answer.json()["data"]}

    def wait_until_served(self, name: str, *, before: int | None) -> None:
        """Wait until a model is served that was loaded at another time than `before`.

        Raises `FineTuningError` if that takes longer than a start may.
        """
        self._wait(name, lambda loaded: loaded not in (None, before), "does not serve")

    def wait_until_gone(self, name: str) -> None:
        """Wait until a model is not served any more. Raises `FineTuningError` if that takes longer than a start may."""
        self._wait(name, lambda loaded: loaded is None, "still serves")

    def _wait(self, name: str, is_over: Callable[[int | None], bool], problem: str) -> None:
        """Wait until `is_over` is true of the time at which the model was loaded, None for one that is not served."""
        begun = reminded = time.monotonic()
        while (now := time.monotonic()) - begun < self._deadline:
            if is_over((self.models() or {}).get(name)):
                return
            if now - reminded >= _REMIND:
                reminded = now
                say(f"serve: waiting for the server ({now - begun:.0f} s so far)")
            time.sleep(_POLL)
        raise FineTuningError(f"the server at {self.url} {problem} {name}: look at its log, and at its MODEL_DIR")
