"""Files from a model hub or a web address: ranged GETs that resume an interrupted download."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from supervisor.weights.errors import SourceError, SourceUnreachableError
from supervisor.weights.manifest import Blob, Kind, Location, Source
from supervisor.weights.progress import Progress
from supervisor.weights.store import Store, WrongContentError

OPEN_S = 5.0
"""Seconds, name resolution included, after which a host without an answer counts as unreachable."""
_STALL_S = 15.0
_CHUNK = 1 << 20


class _NotServedError(Exception):
    """The host answers, but does not have this file."""


class _InterruptedError(Exception):
    """The connection failed, or ended too early."""


class _Redirects(HTTPRedirectHandler):
    """Follow redirects, and send the token only to the original host, and not from https to http."""

    def redirect_request(  # noqa: PLR0917 - urllib's signature
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if new is not None and (after.netloc != before.netloc or (before.scheme, after.scheme) == ("https", "http")):
            new.remove_header("Authorization")
        return new


_opener = build_opener(_Redirects)


def base_url(source: Source) -> str:
    """Return the base address of a hub or url source; raises `SourceError` for an invalid HF_ENDPOINT."""
    (name,) = source.names
    if source.kind is Kind.URL:
        return name
    repository, _, revision = name.partition("@")
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    if not endpoint.startswith(("https://", "http://")):
        raise SourceError(f"HF_ENDPOINT is {endpoint!r}, which is not a web address")
    return f"{endpoint}/{repository}/resolve/{revision}"


def fetch(source: Source, wanted: Mapping[str, Location], store: Store, progress: Progress) -> None:
    """Put the `wanted` files into the store; a file that is missing at the source or differs is reported.

    Raises `SourceError` if the source cannot serve any further file.
    """
    headers = {"User-Agent": "tritone"}
    if source.kind is Kind.HUB:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
            raise SourceUnreachableError("HF_HUB_OFFLINE is set")
        if token := os.environ.get("HF_TOKEN") or os.environ.get("HUGGINGFACE_HUB_TOKEN"):
            headers["Authorization"] = f"Bearer {token.strip()}"
    for name, location in wanted.items():
        if store.has(location.blob):
            continue
        (path,) = location.parts
        request = Request(f"{base_url(source)}/{quote(path)}", headers=headers)  # noqa: S310 - http, checked
        try:
            _download(request, location.blob, store, partial(_report, store, progress, name))
        except (WrongContentError, _NotServedError) as error:
            progress.info(f"{source}: {name} skipped: {error}")


def _report(store: Store, progress: Progress, name: str, done: int, total: int) -> None:
    if store.ending.is_set():
        raise SourceError("ended")
    progress.bytes(name, done, total)


def _download(request: Request, blob: Blob, store: Store, report: Callable[[int, int], None]) -> None:
    part = store.partial(blob)
    resumed = part.exists()
    while True:
        try:
            _grow(request, part, blob, report)
            return store.admit(blob, part)
        except WrongContentError:
            part.unlink(missing_ok=True)
            if not resumed:
                raise
            resumed = False  # its beginning may come from another source: once more, from zero


def _grow(request: Request, part: Path, blob: Blob, report: Callable[[int, int], None]) -> None:
    """Complete `part`; reconnect after an interruption, as long as each connection brings new bytes."""
    while True:
        have = part.stat().st_size if part.exists() else 0
        if have >= blob.size:
            return
        try:
            _append(request, part, have, blob, report)
        except _InterruptedError as cut:
            if not part.exists() or part.stat().st_size <= have:
                raise SourceUnreachableError(str(cut)) from cut


def _append(request: Request, part: Path, have: int, blob: Blob, report: Callable[[int, int], None]) -> None:
    request.add_header("Range", f"bytes={have}-")
    with _open(request) as response:
        start = have if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length")
        if length is not None and start + int(length) != blob.size:
            raise WrongContentError(f"{start + int(length)} bytes, not {blob.size}")
        with part.open("ab" if start else "wb") as out:
            while chunk := _read(response):
                out.write(chunk)
                report(out.tell(), blob.size)
                if out.tell() > blob.size:
                    raise WrongContentError(f"more than {blob.size} bytes")
            if out.tell() < blob.size:
                raise _InterruptedError("the connection was interrupted")


def _open(request: Request) -> HTTPResponse:
    """Return the response once its headers have arrived, after redirects, in at most OPEN_S.

    A thread waits for it, because no socket timeout covers name resolution.
    """
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()

    def open_it() -> None:
        try:
            answers.put(_opener.open(request, timeout=_STALL_S))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=open_it, daemon=True).start()
    try:
        answer = answers.get(timeout=OPEN_S)
    except queue.Empty:
        raise _InterruptedError(f"no answer within {OPEN_S:.0f} s") from None
    match answer:
        case HTTPError(code=HTTPStatus.NOT_FOUND | HTTPStatus.GONE):
            raise _NotServedError("the host does not have it") from answer
        case HTTPError(code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
            raise WrongContentError("shorter at the source") from answer
        case HTTPError():
            raise SourceError(f"HTTP status {answer.code}") from answer
        case OSError() | HTTPException():
            reason = getattr(answer, "reason", answer)
            raise _InterruptedError(f"cannot be reached: {getattr(reason, 'strerror', None) or reason}") from answer
        case Exception():
            raise SourceError(f"{request.full_url}: {answer}") from answer
    return answer


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _InterruptedError(str(error)) from error
