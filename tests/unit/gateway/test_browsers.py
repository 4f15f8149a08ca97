"""Web pages of strangers: the checks of Host and Origin."""

from __future__ import annotations

from typing import Any

import pytest
import websockets

from tests.unit.gateway.conftest import Gateway, Serve

KEYS = {"api_keys": "sk-one"}


async def status_with_host(gateway: Gateway, host: str) -> int:
    return (await gateway.http.get("/v1/models", headers={"host": host})).status_code


async def opens(gateway: Gateway, origin: Any, host: str = "", **options: Any) -> bool:
    """Return whether a live session opens; a rejection must be a 403 with the name of the setting."""
    server = gateway.http.base_url
    try:
        async with websockets.connect(
            f"ws://{host or server.host}/v1/realtime",
            host=server.host,
            port=server.port,
            origin=origin,
            open_timeout=300,
            **options,
        ):
            return True
    except websockets.InvalidStatus as rejected:
        response = rejected.response
    assert response.status_code == 403
    assert b"CORS_ORIGINS" in (response.body or b"")
    return False


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8899", "LOCALHOST:1", "a.localhost", "127.0.0.1:8899", "[::1]:8899", "192.168.1.7"),
        *("gateway:8899", "host.docker.internal:8899", "printer.local", "localhost."),
    ],
)
async def test_a_local_server_answers_to_names_that_no_stranger_can_own(gateway: Gateway, host: str) -> None:
    assert await status_with_host(gateway, host) == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8899", "localhost.evil.example", "127.0.0.1.evil.com"])
async def test_a_local_server_rejects_a_name_of_a_stranger(gateway: Gateway, host: str) -> None:
    answer = await gateway.http.get("/v1/models", headers={"host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert "ALLOWED_HOSTS" in answer.json()["error"]["message"]


async def test_allowed_hosts_are_names_and_zones(serve: Serve) -> None:
    async with serve(allowed_hosts="speech.example, *.lab.example", api_host="0.0.0.0") as gateway:
        statuses = [
            await status_with_host(gateway, host)
            for host in ("speech.example", "a.b.lab.example:443", "10.0.0.1", "lab.example", "other.example")
        ]
    assert statuses == [200, 200, 200, 403, 403]


@pytest.mark.parametrize("settings", [{"api_host": "0.0.0.0"}, {"allowed_hosts": "*"}])
async def test_a_server_that_others_may_reach_answers_to_any_name(serve: Serve, settings: dict[str, str]) -> None:
    async with serve(**settings) as gateway:
        assert await status_with_host(gateway, "speech.example") == 200


async def test_keys_replace_the_check_of_the_host(serve: Serve) -> None:
    async with serve(**KEYS) as gateway:
        assert await status_with_host(gateway, "speech.example") == 401


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        (None, True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:80", True),
        ("chrome-extension://abcdef", True),
        ("file://", False),
        ("null", False),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
    ],
)
async def test_a_websocket_is_not_for_pages_of_strangers(gateway: Gateway, origin: str | None, accepted: bool) -> None:
    assert await opens(gateway, origin) == accepted


async def test_the_servers_own_pages_may_open_a_websocket(serve: Serve) -> None:
    async with serve(api_host="0.0.0.0") as gateway:
        assert await opens(gateway, "https://speech.example", "speech.example")
        assert not await opens(gateway, "https://other.example", "speech.example")


async def test_cors_origins_may_open_a_websocket(serve: Serve) -> None:
    async with serve(cors_origins="https://app.example") as gateway:
        assert await opens(gateway, "https://app.example")
        assert not await opens(gateway, "https://other.example")
    async with serve(cors_origins="*") as gateway:
        assert await opens(gateway, "https://other.example")


async def test_a_key_opens_a_websocket_from_any_page_unless_origins_are_named(serve: Serve) -> None:
    protocols: Any = {"subprotocols": ["realtime", "openai-insecure-api-key.sk-one"]}
    async with serve(**KEYS) as gateway:
        assert await opens(gateway, "https://app.example", **protocols)
    async with serve(**KEYS, cors_origins="https://app.example") as gateway:
        assert await opens(gateway, "https://app.example", **protocols)
        assert not await opens(gateway, "https://other.example", **protocols)
