"""A model hub on loopback, packages made by hand, and small manifests that name them."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from supervisor.weights import Progress, manifest
from supervisor.weights.manifest import Entry

CONTENT = bytes(range(256)) * 400  # 102,400 bytes


@dataclass
class Hub:
    """The files of the hub on loopback, and the requests that it received."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    """path -> content"""
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which the next responses break off."""
    hold_after: int | None = None
    """Bytes after which a response pauses until `held` is set."""
    holding: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    redirect_to: str | None = None
    ranges: bool = True
    status: int | None = None
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.requests]


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.requests.append((self.path, dict(self.headers)))
            if hub.status:
                return self.send_error(hub.status)
            if hub.redirect_to:
                self.send_response(302)
                self.send_header("Location", hub.redirect_to + self.path)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            if self.path not in hub.files:
                return self.send_error(404)
            content = hub.files[self.path]
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-")) if hub.ranges else 0
            if start > len(content):
                return self.send_error(416)
            self.send_response(206 if hub.ranges else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            body = content[start:]
            if hub.cut_after:
                body = body[: hub.cut_after.pop(0)]
            if hub.hold_after is not None:
                self.wfile.write(body[: hub.hold_after])
                hub.holding.set()
                hub.held.wait(300)
                body = body[hub.hold_after :]
            self.wfile.write(body)
            return None

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _serve(hub: Hub) -> Iterator[Hub]:
    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that leaves in the middle is what some tests are about."""

    with Server(("127.0.0.1", 0), _handler(hub)) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield hub
        hub.held.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    for name in ("HF_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for hub in _serve(Hub()):
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        yield hub


@pytest.fixture
def other_host() -> Iterator[Hub]:
    yield from _serve(Hub())


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(said: io.StringIO) -> Progress:
    return Progress(said)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def table(content: bytes) -> str:
    """A file's size and sha256, as the manifest writes them."""
    return f'{{ size = {len(content)}, sha256 = "{hashlib.sha256(content).hexdigest()}" }}'


def write_manifest(path: Path, sources: str, files: Mapping[str, bytes]) -> Path:
    """A manifest of one entry, `tiny`; `sources` is TOML."""
    lines = [f'"{name}" = {table(content)}' for name, content in files.items()]
    path.write_text(
        f'[tiny]\nlicence = "MIT"\npage = "https://hub.test/tiny"\n{sources}\n[tiny.files]\n' + "\n".join(lines)
    )
    return path


HUB_SOURCE = """
[[tiny.sources]]
hub = "owner/tiny@rev"
[tiny.sources.paths]
"model.bin" = "weights/model.bin"
"""
HUB_PATH = "/owner/tiny/resolve/rev/weights/model.bin"


@pytest.fixture
def use_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Mapping[str, bytes]], Entry]:
    def use(sources: str, files: Mapping[str, bytes]) -> Entry:
        entries = manifest.read(write_manifest(tmp_path / "manifest.toml", sources, files))
        monkeypatch.setattr(manifest, "load", lambda: entries)
        return entries["tiny"]

    return use


@pytest.fixture
def tiny(use_manifest: Callable[[str, Mapping[str, bytes]], Entry]) -> Entry:
    """An entry of one file, which only the hub serves."""
    return use_manifest(HUB_SOURCE, {"model.bin": CONTENT})


@pytest.fixture
def fake_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A function that puts a shell script of this name in front of PATH."""

    def make(name: str, script: str) -> None:
        folder = tmp_path / "tools"
        folder.mkdir(exist_ok=True)
        tool = folder / name
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return make
