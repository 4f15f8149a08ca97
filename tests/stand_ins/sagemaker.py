"""A stand-in for SageMaker's runtime: it translates its API to a container's `/invocations`, as the service does.

The real client of boto3 calls it. It knows the routes, headers, limits and errors of the service's documentation, and
proves nothing about the service itself.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from uuid import uuid4
from zlib import crc32

import boto3
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

_ATTRIBUTES: Final = "x-amzn-sagemaker-custom-attributes"
_CONTENT_TYPE: Final = "x-amzn-sagemaker-content-type"
_ACCEPT: Final = "x-amzn-sagemaker-accept"
_SYNCHRONOUS_SECONDS: Final = 300
_ASYNCHRONOUS_SECONDS: Final = 3600
_LARGEST_BODY: Final = 25 * 2**20


class SageMakerRuntime:
    """Endpoints, each with one container, and a bucket for the results of asynchronous ones."""

    def __init__(self, container: str, bucket: str = "") -> None:
        """`container`: the address of its port; `bucket`: of the S3 server that boto3 finds."""
        self.bucket = bucket
        self.http = httpx.AsyncClient(base_url=container, trust_env=False)
        self.app = Starlette(
            routes=[
                Route("/endpoints/{name}/invocations", self._invoke, methods=["POST"]),
                Route("/endpoints/{name}/invocations-response-stream", self._stream, methods=["POST"]),
                Route("/endpoints/{name}/async-invocations", self._invoke_later, methods=["POST"]),
            ],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        async with self.http:
            yield

    async def _invoke(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > _LARGEST_BODY:
            return _error("ValidationError", 400, {"Message": "the body is too large"})
        headers = _passed_on(request.headers, "content-type", "accept")
        answer = await self.http.post("/invocations", content=body, headers=headers, timeout=_SYNCHRONOUS_SECONDS)
        if answer.is_error:
            return _model_error(answer)
        return Response(answer.content, headers=_returned(answer))

    async def _stream(self, request: Request) -> Response:
        headers = _passed_on(request.headers, "content-type", _ACCEPT)
        call = self.http.build_request(
            "POST", "/invocations", content=await request.body(), headers=headers, timeout=_SYNCHRONOUS_SECONDS
        )
        answer = await self.http.send(call, stream=True)
        if answer.is_error:
            await answer.aread()
            return _model_error(answer)
        returned = _returned(answer)
        returned[_CONTENT_TYPE] = returned.pop("content-type")
        return StreamingResponse(_events(answer), media_type="application/vnd.amazon.eventstream", headers=returned)

    async def _invoke_later(self, request: Request) -> Response:
        """Invoke at once, which the service does later, and put the result or the error into the bucket."""
        name = request.path_params["name"]
        number = request.headers.get("x-amzn-sagemaker-inference-id") or uuid4().hex
        s3 = boto3.client("s3")
        source, _, key = request.headers["x-amzn-sagemaker-inputlocation"].removeprefix("s3://").partition("/")
        body = (await run_in_threadpool(s3.get_object, Bucket=source, Key=key))["Body"].read()
        headers = _passed_on(request.headers, _CONTENT_TYPE, _ACCEPT)
        answer = await self.http.post("/invocations", content=body, headers=headers, timeout=_ASYNCHRONOUS_SECONDS)
        places = {kind: f"{name}/{kind}/{number}.out" for kind in ("output", "failure")}
        target = places["failure" if answer.is_error else "output"]
        await run_in_threadpool(s3.put_object, Bucket=self.bucket, Key=target, Body=answer.content)
        located = {f"x-amzn-sagemaker-{kind}location": f"s3://{self.bucket}/{key}" for kind, key in places.items()}
        return JSONResponse({"InferenceId": number}, 202, located)


def _passed_on(headers: Mapping[str, str], content_type: str, accept: str) -> dict[str, str]:
    """Return the headers that a container gets; the service strips all others."""
    names = {"content-type": content_type, "accept": accept, _ATTRIBUTES: _ATTRIBUTES}
    return {name: headers[sent] for name, sent in names.items() if sent in headers}


def _returned(answer: httpx.Response) -> dict[str, str]:
    return {name: answer.headers[name] for name in ("content-type", _ATTRIBUTES) if name in answer.headers}


def _model_error(answer: httpx.Response) -> Response:
    said = {"OriginalStatusCode": answer.status_code, "OriginalMessage": answer.text, "LogStreamArn": ""}
    return _error("ModelError", 424, {"Message": f"Received {answer.status_code} from primary", **said})


def _error(name: str, status: int, body: Mapping[str, Any]) -> Response:
    return JSONResponse(body, status, {"x-amzn-errortype": name})


async def _events(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Yield the container's answer in messages of the event stream encoding; one that breaks off ends with an error."""
    try:
        async for piece in answer.aiter_raw():
            yield _message({":message-type": "event", ":event-type": "PayloadPart"}, piece)
    except httpx.RemoteProtocolError as error:
        headers = {":message-type": "exception", ":exception-type": "ModelStreamError"}
        yield _message(headers, json.dumps({"Message": str(error), "ErrorCode": "StreamBroken"}).encode())
    finally:
        await answer.aclose()


def _message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a message: a prelude of both lengths, headers of the type string, the payload, and checksums."""
    packed = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 12 + len(packed) + len(payload) + 4, len(packed))
    message = prelude + struct.pack("!I", crc32(prelude)) + packed + payload
    return message + struct.pack("!I", crc32(message))


@contextmanager
def sagemaker_runtime(container: str, bucket: str = "") -> Iterator[str]:
    """Run the stand-in in a thread of its own, and give its address."""
    app = SageMakerRuntime(container, bucket).app
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, lifespan="on", timeout_keep_alive=600, timeout_graceful_shutdown=1)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
