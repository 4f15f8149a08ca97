"""The gateway's one gRPC client: it sends each request to a server that has the model ready."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final

from numpy.typing import NDArray

from gateway.core.errors import (
    DeadlineExceeded,
    InternalError,
    ModelNotLoaded,
    ModelUnavailable,
    ServiceError,
    VoiceNotHeld,
)
from gateway.core.model_watch import UNLOAD_GRACE
from gateway.core.served_models import ServedModels
from gateway.core.server import Server
from gateway.core.server_pool import Resolve, ServerPool, resolve_name
from gateway.core.wire import Tensors, inference_request
from tritone.errors import InvalidInput
from tritone.options import Value
from tritone.served import ServedModel

_ATTEMPTS: Final = 2
"""Servers that one request is sent to, at most; a second one only before the first response."""
_SETTLE_SECONDS: Final = 5.0
"""The longest wait for the document that says that a model was unloaded."""
_KEEP_SHARE: Final = 0.3
"""A model that a live session uses is kept loaded by a message each time that this share of its idle time passed."""

logger = logging.getLogger(__name__)


class TritonClient:
    """Connections to one or more Triton servers. `start` it in an event loop, and `close` it.

    A request goes to the server with the fewest of this client's requests among those that have the model ready. If
    that one is at capacity or fails before its first response, the request goes to one other server. The methods raise
    `ServiceError` and `InvalidInput`, and cancel their call in Triton when their task is cancelled.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        unload_grace: float = UNLOAD_GRACE,
        resolve: Resolve = resolve_name,
    ) -> None:
        """Each of `addresses` is `host:port`, or `dns:///name:port` for every server that the name stands for."""
        self._pool = ServerPool(addresses, unload_grace=unload_grace, resolve=resolve)
        self._turn = 0

    async def start(self) -> None:
        """Connect, and wait a moment for the first documents; a server that is out of reach is tried again."""
        await self._pool.start()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @property
    def servers(self) -> list[Server]:
        """The servers at present."""
        return self._pool.servers

    @property
    def served(self) -> ServedModels:
        """The models of all servers at present."""
        return ServedModels.of(self._pool.servers)

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Value],
        *,
        request_id: str,
        priority: int = 0,
        timeout: float,  # noqa: ASYNC109 - the call's deadline, which Triton gets too
    ) -> Tensors:
        """Call a model that sends one response; the arguments are those of `stream`."""
        responses = self.stream(model, inputs, parameters, request_id=request_id, priority=priority, timeout=timeout)
        (tensors,) = [tensors async for tensors in responses]
        return tensors

    def stream(
        self,
        model: str,
        inputs: Mapping[str, NDArray[Any]],
        parameters: Mapping[str, Value],
        *,
        request_id: str,
        priority: int = 0,
        timeout: float,
    ) -> AsyncGenerator[Tensors]:
        """Call a model; the last of its responses, or its only one, carries the interface's `final_outputs`.

        Shapes are sent unchanged, with their batch dimension. `priority` is Triton's, 1 the highest, 0 the model's
        default; `timeout`, the call's deadline, which Triton gets too, is in seconds. Close the generator
        (`contextlib.aclosing`) to cancel the call in Triton.
        """
        request = inference_request(model, inputs, parameters, request_id)
        if priority:
            request.parameters["priority"].uint64_param = priority
        return self._send(request, timeout)

    async def _send(self, request: Any, timeout: float) -> AsyncGenerator[Tensors]:  # noqa: ASYNC109
        model: str = request.model_name
        deadline = time.monotonic() + timeout
        left = timeout
        tried: list[Server] = []
        while True:
            server = self._least_loaded(model, tried)
            if server is None:
                server = await self._woken(model, tried, left)
                left = _left(model, deadline)
            if server is None:
                raise self._unavailable(model)
            served = server.model(model)
            tried.append(server)
            responses = 0
            try:
                async with aclosing(server.stream(request, left)) as stream:
                    async for tensors in stream:
                        responses += 1
                        yield tensors
                return
            except ModelUnavailable as error:
                _log(model, server, error)
                if isinstance(error, ModelNotLoaded) and served and served.idle_seconds and not responses:
                    # It has become idle just now.
                    tried.remove(server)
                    if not await _settled(server, served):
                        raise
                elif responses or len(tried) == _ATTEMPTS or not self._candidates(model, tried):
                    raise
            except VoiceNotHeld:
                raise  # expected: the recording is sent next
            except ServiceError as error:
                _log(model, server, error)
                raise
            left = _left(model, deadline)

    async def keep_loaded(self, model: str) -> float:
        """Keep a model from becoming idle, or load it; return the seconds after which to call this again; 0: never."""
        known = [(server, served) for server in self._pool.servers if (served := server.model(model))]
        idle = [server for server, served in known if served.state == "idle"]
        ready = [server for server, served in known if served.state == "ready" and served.idle_seconds]
        for server in ready or idle[:1]:
            with suppress(ServiceError):  # the next request reports what is wrong
                await server.want(model)
        return min((served.idle_seconds for _, served in known if served.idle_seconds), default=0.0) * _KEEP_SHARE

    async def forget_voice(self, key: str) -> Mapping[str, Exception]:
        """Have every server forget a voice at once; return the addresses of those that failed, with their errors."""
        servers = self._pool.servers
        outcomes = await asyncio.gather(*(server.forget_voice(key) for server in servers), return_exceptions=True)
        failed: dict[str, Exception] = {}
        for server, outcome in zip(servers, outcomes, strict=True):
            if isinstance(outcome, (ServiceError, InvalidInput)):
                failed[server.address] = outcome
            elif outcome is not None:
                raise outcome
        return failed

    async def wake(self, model: str, seconds: float) -> None:
        """Have the model loaded if it is idle on all servers. Raises `DeadlineExceeded` after so many seconds."""
        if not self._candidates(model, ()):
            await self._woken(model, (), seconds)

    async def _woken(self, model: str, tried: Collection[Server], seconds: float) -> Server | None:
        """Return a server where the model was idle, once it is loaded there; None if there is none.

        Raises `DeadlineExceeded` if that takes longer than `seconds`.
        """
        idle = [
            server
            for server in self._pool.servers
            if server not in tried and (served := server.model(model)) and served.state == "idle"
        ]
        if not idle:
            return None
        server = min(idle, key=lambda server: server.load)
        try:
            async with asyncio.timeout(seconds):
                await server.wake(model)
        except TimeoutError:
            raise DeadlineExceeded(f"model {model!r} was not used for a while, and is still being loaded") from None
        return server if server.serves(model) else None

    def _candidates(self, model: str, tried: Collection[Server]) -> list[Server]:
        return [server for server in self._pool.servers if server not in tried and server.serves(model)]

    def _least_loaded(self, model: str, tried: Collection[Server]) -> Server | None:
        """Return a server that has `model` ready and is not among `tried`; equally loaded ones take turns."""
        servers = self._candidates(model, tried)
        if not servers:
            return None
        self._turn += 1
        first = self._turn % len(servers)
        return min(servers[first:] + servers[:first], key=lambda server: server.load)

    def _unavailable(self, model: str) -> ModelUnavailable:
        served = self.served
        state = next((each.state for each in served.models if each.id == model), None)
        if not any(server.connected for server in self._pool.servers):
            return ModelUnavailable(f"model {model!r} is out of reach at present; try again")
        if state == "loading":
            return ModelUnavailable(f"model {model!r} is loading; try again")
        if state == "failed":
            return ModelUnavailable(f"model {model!r} could not be loaded; the server's log says why")
        return ModelUnavailable(f"model {model!r} is not loaded at present; try again")


def _left(model: str, deadline: float) -> float:
    """Return the seconds that are left of a request's time. Raises `DeadlineExceeded` if there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded(f"model {model!r} did not answer in time")
    return left


async def _settled(server: Server, served: ServedModel) -> bool:
    """Wait until the server reports another state of a model that it has unloaded; False if it does not."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_SETTLE_SECONDS):
            await server.changed(served.id, served.loads)
            return True
    return False


def _log(model: str, server: Server, error: ServiceError) -> None:
    """Log a failure with the details that the client does not get."""
    level = logging.ERROR if isinstance(error, InternalError) else logging.WARNING
    logger.log(level, "%s on triton %s: %s (%s)", model, server.address, error.message, error.detail)
