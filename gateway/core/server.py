"""One Triton server: its connection, its document by long polling, and the calls to it.

Two rules of Triton's protocol hold for every call. Everything is sent by plain ModelStreamInfer: Triton 2.51 crashes,
with all its models, when a ModelInfer is cancelled just as it ends, and when a stream that asked for gRPC statuses
(`triton_grpc_error`) ends in an error. And every stream is read to its end, and cancelled only before that: Triton
keeps a model loaded for ever if its client leaves between an error and the end of the stream.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2

from gateway.core.errors import InternalError, ServerUnreachable, ServiceError
from gateway.core.model_watch import UNLOAD_GRACE, ModelWatch
from gateway.core.tracing import outgoing_headers
from gateway.core.wire import Tensors, error_from_status, error_from_text, inference_request, response_tensors
from tritone.contract import PING_SECONDS, ServerOptions
from tritone.errors import InvalidInput
from tritone.served import MODEL, ServedDocument, ServedModel

CHANNEL_OPTIONS: Final = [
    # gRPC's own limit is 4 MB.
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
    # A stream whose client reads slowly waits in Triton: the window would otherwise grow to megabytes for each.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 64 * 1024),
    # A proxy of the environment, which Docker sets in every container, does not reach the servers.
    ("grpc.enable_http_proxy", 0),
    # A server that stopped silently is noticed within half a minute, and one that came back within two seconds.
    ("grpc.keepalive_time_ms", PING_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A server that came back with another address is found at once: gRPC's own pause between look-ups is 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 500),
]
_MODEL_STREAM_INFER: Final = "/inference.GRPCInferenceService/ModelStreamInfer"
WAIT_SECONDS: Final = 20.0
"""The longest wait of one poll for a change of the document."""
_POLL_TIMEOUT: Final = WAIT_SECONDS + 5
"""Seconds after which a poll has failed: the stub process of the `tritone` model may have died with it."""
_WANT_TIMEOUT: Final = 10.0
_REPOLL_SECONDS: Final = 0.5
"""The pause after a poll that failed, or that was answered at once without a change, as a stopping server does."""

logger = logging.getLogger(__name__)


class Server:
    """The connection to one server. Start `follow` in a task, and `close` the server when that has ended."""

    def __init__(
        self,
        address: str,
        *,
        unload_grace: float = UNLOAD_GRACE,
        on_disconnect: Callable[[], object] = lambda: None,
    ) -> None:
        """`address` is `host:port`; `on_disconnect` is called each time that the server is out of reach."""
        self.address = address
        self.document: ServedDocument | None = None
        """The last document; None before the first."""
        self.connected = False
        """True if the last poll reached the server."""
        self.polled = asyncio.Event()
        """Set after the first poll, answered or not."""
        self.idle = asyncio.Event()
        """Set while no call is open."""
        self.idle.set()
        self._watch = ModelWatch(unload_grace)
        self._on_disconnect = on_disconnect
        self._connect()
        self._problems: set[str] = set()
        """Those of the polls since the last document; each is logged once."""
        self._news = asyncio.Event()
        """Set at the next change of `document` or `connected`, and then replaced."""

    def _connect(self) -> None:
        self._channel = grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        # A call has one request. Said in this way, its metadata, its request and its end are one message to the server.
        self._infer = self._channel.unary_stream(
            _MODEL_STREAM_INFER,
            request_serializer=service_pb2.ModelInferRequest.SerializeToString,
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )

    async def _reconnect(self) -> None:
        """Replace a connection that failed, if no call is open: a new one looks the server's name up again.

        gRPC pauses for up to two minutes between look-ups that fail, as they do while a container is restarted.
        """
        if self.idle.is_set():
            failed = self._channel
            self._connect()
            await failed.close(_WANT_TIMEOUT)

    @property
    def load(self) -> tuple[int, int]:
        """This gateway's calls to the server: those without a response yet, and all that are open.

        The first counts more: a server reads new requests one after the other, while its streams wait. In simulations,
        the 95th percentile of the first audio is a fifth lower than where all open calls count alike.
        """
        return self._watch.unanswered, len(self._watch)

    def serves(self, model: str) -> bool:
        """Return whether the server can be sent requests for `model` now."""
        return bool((served := self.model(model)) and served.state == "ready")

    def model(self, id_: str) -> ServedModel | None:
        """Return a model of the server; None if it has no such model, or cannot be sent requests now."""
        if not self.connected or self.document is None or self.document.state == "stopping":
            return None
        return next((each for each in self.document.models if each.id == id_), None)

    async def want(self, model: str) -> None:
        """Have an idle model loaded, or keep it from becoming idle now. Raises `ServiceError`."""
        await self._ask(ServerOptions(load=model), _WANT_TIMEOUT)

    async def wake(self, model: str) -> None:
        """Have a model loaded, and wait until it is ready. Raises `ServiceError` if it cannot be loaded."""
        await self.want(model)
        while (served := self.model(model)) and served.state == "idle":
            await self._news.wait()

    async def forget_voice(self, key: str) -> None:
        """Have every model of the server forget a voice. Raises `ServiceError`, and `InvalidInput` if it cannot."""
        await self._ask(ServerOptions(forget_voice=key), _WANT_TIMEOUT)

    async def changed(self, model: str, loads: int) -> None:
        """Wait until a model is not in the state that it had after so many loads."""
        while (served := self.model(model)) and served.state == "ready" and served.loads == loads:
            await self._news.wait()

    async def close(self) -> None:
        """Close the connection; calls that are open fail."""
        await self._channel.close()

    async def follow(self) -> None:
        """Keep the document up to date, until cancelled."""
        while True:
            version = self.document.version if self.document and self.connected else -1
            began = time.monotonic()
            try:
                document = await self._poll(version)
            except ServerUnreachable as error:
                self.connected = False
                self._tell()
                self._log_problem(error)
                self._on_disconnect()
                await self._reconnect()
            except (ServiceError, InvalidInput, ValueError, LookupError, TypeError) as error:
                self._log_problem(error)
            else:
                self._update(document)
                if document.version != version or time.monotonic() - began >= _REPOLL_SECONDS:
                    continue
            finally:
                self.polled.set()
            await asyncio.sleep(_REPOLL_SECONDS)

    async def stream(self, request: Any, timeout: float) -> AsyncGenerator[Tensors]:  # noqa: ASYNC109 - the deadline
        """Send one request, and yield its responses; closing the generator cancels the call in Triton.

        `timeout`, in seconds, is sent to the model too, which may drop the request before gRPC does. Raises
        `ServiceError` and `InvalidInput`.
        """
        model: str = request.model_name
        call = self._begin(request, timeout)
        watched = self._watch.begin(model, self.document, call.cancel)
        self.idle.clear()
        try:
            async with aclosing(_responses(call, model)) as responses:
                async for tensors in responses:
                    watched.responses += 1
                    yield tensors
        except asyncio.CancelledError:
            if not watched.is_lost:
                raise
            raise error_from_text("Stub process: no response since the model was unloaded", model) from None
        finally:
            self._watch.end(watched)
            if not self._watch:
                self.idle.set()

    def _begin(self, request: Any, seconds: float) -> Any:
        request.parameters["triton_enable_empty_final_response"].bool_param = True
        request.parameters["timeout"].int64_param = round(seconds * 1e6)
        return self._infer(request, timeout=seconds, metadata=outgoing_headers())

    async def _poll(self, version: int) -> ServedDocument:
        return await self._ask(ServerOptions(version=version, wait_seconds=WAIT_SECONDS), _POLL_TIMEOUT)

    async def _ask(self, options: ServerOptions, seconds: float) -> ServedDocument:
        request = inference_request(MODEL, {}, options.to_parameters())
        document = None
        async with aclosing(_responses(self._begin(request, seconds), MODEL)) as responses:
            async for tensors in responses:
                document = ServedDocument.from_json(tensors["document"].item())
        if document is None:
            raise InternalError("the response of the tritone model has no document")
        return document

    def _update(self, document: ServedDocument) -> None:
        if not self.connected or self._problems:
            logger.info("triton %s serves: %s", self.address, ", ".join(model.id for model in document.models) or "-")
        self.connected, self.document = True, document
        self._problems.clear()
        self._watch.update(document)
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _log_problem(self, error: Exception) -> None:
        problem = f"{error} ({error.detail})" if isinstance(error, ServiceError) else repr(error)
        if isinstance(error, ServerUnreachable):
            problem = f"it is out of reach; check that it runs, and TRITON_GRPC_URL ({error.detail})"
        if problem not in self._problems:
            self._problems.add(problem)
            logger.warning("no document from triton %s: %s", self.address, problem)


async def _responses(call: Any, model: str) -> AsyncGenerator[Tensors]:
    """Yield the responses of a call to its end; cancel it if it has not ended."""
    final = False
    failure = None
    try:
        async for response in call:
            if response.error_message:
                failure = error_from_text(response.error_message, model)
            elif tensors := response_tensors(response.infer_response):
                yield tensors
            final = response.infer_response.parameters["triton_final_response"].bool_param
    except grpc.aio.AioRpcError as error:
        task = asyncio.current_task()
        if task and task.cancelling():
            # gRPC raises a call's error in place of a cancellation that arrives just as the call fails.
            raise asyncio.CancelledError from error
        raise error_from_status(error, model) from error
    finally:
        call.cancel()
    if failure:
        raise failure
    if not final:
        raise InternalError("the stream ended without a final response")
