"""Fetching addresses that clients name: internal hosts stay out of reach."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.audio.download import download, is_public
from tritone.errors import InvalidInput

BODY = b"RIFF" * 1000


@dataclass
class Web:
    """A server on loopback that sends `answer` and keeps the requests."""

    port: int = 0
    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n" + BODY
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    hold: asyncio.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/voice.wav"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            self.requests.append(await reader.read(65536))
            writer.write(self.answer)
            await writer.drain()
            if self.hold:
                await self.hold.wait()
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    web = Web()
    server = await asyncio.start_server(web, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    async with server:
        yield web
        if web.hold:
            web.hold.set()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Resolve every name to these addresses; return the list of the names that were looked up."""

    def stand_for(*addresses: str) -> list[str]:
        looked_up: list[str] = []

        def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
            looked_up.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return looked_up

    return stand_for


async def rejection(url: str, *internal: str, max_bytes: int = 10_000, seconds: float = 10.0) -> str:
    with pytest.raises(InvalidInput) as rejected:
        await download(url, max_bytes, internal, seconds=seconds)
    assert rejected.value.field == "ref_audio"
    return str(rejected.value)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0"),
        *("fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1"),
        *("2002:7f00:1::1", "2001:0:7f00:1::1", "100::1", "192.0.0.8", "192.0.0.9", "192.88.99.1", "3fff::1"),
        *("3fff:fff:ffff::1", "5f00::1", "100:0:0:1::1", "::ffff:192.0.0.8"),
    ],
)
def test_internal_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


async def test_an_allowed_internal_host_is_fetched_from(web: Web) -> None:
    assert await download(web.url, 4000, ["127.0.0.1"]) == BODY
    assert await download(web.url, 4000, [web.host]) == BODY
    assert b"GET /voice.wav HTTP/1.1\r\n" in web.requests[0]


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0.0.0.0"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "user:password@127.0.0.1", "example.com@127.0.0.1"),
    ],
)
async def test_loopback_is_not_reached_in_any_spelling(web: Web, host: str) -> None:
    message = await rejection(f"http://{host}:{web.port}/", "example.com", "127.0.0.1:1")
    assert message in ("ref_audio: its address is not a public one", "ref_audio: its address cannot be fetched")
    assert web.connections == 0


async def test_every_address_of_a_name_must_be_public(web: Web, names: Callable[..., list[str]]) -> None:
    names("93.184.216.34", "127.0.0.1")
    assert "not a public one" in await rejection(f"http://voices.example:{web.port}/")
    assert web.connections == 0


async def test_a_name_is_looked_up_once_and_kept_in_the_request(web: Web, names: Callable[..., list[str]]) -> None:
    looked_up = names("127.0.0.1")
    assert await download(f"http://voices.example:{web.port}/v.wav", 4000, ["voices.example"]) == BODY
    assert looked_up == ["voices.example"]
    assert f"host: voices.example:{web.port}".encode() in web.requests[0].lower()


async def test_the_next_address_is_tried_after_one_that_fails(web: Web, names: Callable[..., list[str]]) -> None:
    names("127.0.0.2", "127.0.0.1")
    assert await download(f"http://voices.example:{web.port}/v.wav", 4000, ["voices.example"]) == BODY


async def test_redirects_are_not_followed(web: Web) -> None:
    web.answer = f"HTTP/1.1 302 Found\r\nlocation: {web.url}\r\ncontent-length: 0\r\n\r\n".encode()
    assert await rejection(web.url, web.host) == "ref_audio: its address answers 302; redirects are not followed"
    assert web.connections == 1


async def test_proxies_of_the_environment_are_not_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await download(web.url, 4000, [web.host]) == BODY


@pytest.mark.parametrize("header", [b"content-length: 1000000", b"transfer-encoding: chunked"])
async def test_a_body_over_the_limit_is_rejected_whatever_its_header_says(web: Web, header: bytes) -> None:
    body = b"ffff\r\n" + bytes(0xFFFF) if b"chunked" in header else bytes(0xFFFF)
    web.answer, web.hold = b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n" + body, asyncio.Event()
    assert await rejection(web.url, web.host, max_bytes=3999) == "ref_audio: its address holds more than 3999 bytes"


async def test_a_compressed_body_is_not_decompressed(web: Web) -> None:
    web.answer = web.answer.replace(b"200 OK\r\n", b"200 OK\r\ncontent-encoding: gzip\r\n")
    assert await download(web.url, 4000, [web.host]) == BODY


async def test_an_address_that_takes_too_long_is_given_up(web: Web) -> None:
    web.answer, web.hold = web.answer[:-1], asyncio.Event()
    assert await rejection(web.url, web.host, seconds=0.05) == "ref_audio: its address did not answer within 0.05 s"


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///voice.wav",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://127.0.0.1:1/",
        "http://ä.example/",
        f"http://{'a' * 70}.example/",
        "http://127.0.0.1:1/a b\r\nx-evil: 1",
        "https://127.0.0.1:{port}/",
    ],
)
async def test_all_failures_have_the_same_error(web: Web, url: str) -> None:
    message = await rejection(url.format(port=web.port), "127.0.0.1")
    assert message == "ref_audio: its address cannot be fetched"


async def test_a_name_without_an_address_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert await rejection("http://voices.example/") == "ref_audio: its address cannot be fetched"


async def test_a_response_that_is_not_http_is_rejected(web: Web) -> None:
    web.answer = b"SSH-2.0-OpenSSH\r\n" * 10
    assert await rejection(web.url, web.host) == "ref_audio: its address cannot be fetched"
