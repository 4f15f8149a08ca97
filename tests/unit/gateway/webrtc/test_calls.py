"""`POST /v1/realtime/calls`: the begin and the end of calls, and transcription in them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from aioice import ice
from aiortc import MediaStreamTrack, RTCDtlsTransport, RTCSessionDescription
from aiortc.rtp import is_rtcp
from av import AudioFrame

from gateway.fairness import PLACES
from gateway.openai.webrtc import call, peer
from gateway.openai.webrtc.offer import checked_offer
from gateway.settings import GatewaySettings
from gateway.telemetry import CALLS as ENDS
from tests.fake_triton import FakeTriton
from tests.pages import ROOT
from tests.stand_ins.turn_server import TurnServer
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.realtime.test_realtime import TRANSCRIPTION, pcm
from tests.unit.gateway.transcription.conftest import FakeWhisper
from tests.webrtc import CALLS, Caller, calling, post
from tritone.contract import LISTEN_RATE

QUICK = 0.008
"""Seconds that 20 ms of the microphone take."""
SPOKEN = pcm((0.5, None), (1.5, 3), (0.9, None))
HEARD: dict[str, Any] = {"type": "transcription"}
OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
""".format(fingerprint=":".join(["AB"] * 32))
"""The least offer that is answered."""


async def no_sessions(limit: int = 0) -> None:
    """Wait until at most `limit` sessions hold a place."""
    async with asyncio.timeout(300):
        while PLACES.labels("sessions")._value.get() > limit:  # noqa: ASYNC110 - a gauge has no event
            await asyncio.sleep(0.01)


def ends(end: str) -> float:
    return float(ENDS.labels(end)._value.get())


async def test_speech_on_the_track_is_transcribed_on_the_channel(gateway: Gateway, model: FakeWhisper) -> None:
    async with calling(gateway.http, session=HEARD, pace=QUICK) as caller:
        created = await caller.last("session.created")
        assert created["session"]["type"] == "transcription"
        caller.microphone.say(SPOKEN)
        events = await caller.until(f"{TRANSCRIPTION}.completed")
    assert [event["type"] for event in events] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{TRANSCRIPTION}.delta",
        f"{TRANSCRIPTION}.completed",
    ]
    assert events[-1]["transcript"].startswith("part")
    assert events[1]["audio_end_ms"] - events[0]["audio_start_ms"] == pytest.approx(2300, abs=200)
    await no_sessions()


async def test_events_of_the_client_come_on_the_channel(gateway: Gateway, model: FakeWhisper) -> None:
    async with calling(gateway.http, session=HEARD, pace=QUICK) as caller:
        await caller.until("session.created")
        change = {"audio": {"input": {"transcription": {"model": "whisper-1", "language": "de"}}}}
        caller.send("session.update", session=change)
        session = (await caller.last("session.updated"))["session"]
        assert session["audio"]["input"]["transcription"]["language"] == "de"
        caller.send("output_audio_buffer.clear", event_id="mine")
        assert (await caller.last("error"))["error"]["event_id"] == "mine"


async def test_a_call_is_hung_up(gateway: Gateway, model: FakeWhisper) -> None:
    async with calling(gateway.http, session=HEARD) as caller:
        await caller.until("session.created")
        before = ends("ended")
        assert (await gateway.http.post(f"{caller.path}/hangup")).status_code == 200
        await no_sessions()
        assert ends("ended") == before + 1
        async with asyncio.timeout(300):
            await caller.closed.wait()
        again = await gateway.http.post(f"{caller.path}/hangup")
        assert again.status_code == 404
        assert caller.path.removeprefix(f"{CALLS}/") in again.json()["error"]["message"]


async def test_the_official_client_begins_and_ends_a_call(gateway: Gateway, model: FakeWhisper) -> None:
    caller = Caller()
    created = await gateway.openai.realtime.calls.create(
        sdp=await caller.offer(), session={"type": "realtime", "model": "gpt-realtime"}
    )
    await caller.accept(httpx.Response(201, content=created.content, headers=dict(created.response.headers)))
    assert (await caller.last("session.created"))["session"]["model"] == "gpt-realtime"
    await gateway.openai.realtime.calls.hangup(caller.path.removeprefix(f"{CALLS}/"))
    async with asyncio.timeout(300):
        await caller.closed.wait()
    await caller.close()


class _Frames(MediaStreamTrack):
    """A microphone that sends some frames and then no more."""

    kind = "audio"

    def __init__(self, count: int) -> None:
        super().__init__()
        self._left = count
        self._samples = 0

    async def recv(self) -> AudioFrame:
        if not self._left:
            await asyncio.Event().wait()
        await asyncio.sleep(QUICK)
        self._left -= 1
        frame = AudioFrame.from_ndarray(np.zeros((1, 480), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 24_000, self._samples, Fraction(1, 24_000)
        self._samples += 480
        return frame


async def test_a_lost_packet_holds_back_three_others_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    caller, server = Caller(), peer.Peer(GatewaySettings())
    sender = caller.connection.getSenders()[0]
    sender.replaceTrack(_Frames(60))
    send, sent = RTCDtlsTransport._send_rtp, 0

    async def lose_the_tenth(transport: RTCDtlsTransport, data: bytes) -> None:
        nonlocal sent
        sent += not is_rtcp(data)
        if sent != 10 or is_rtcp(data):
            await send(transport, data)

    monkeypatch.setattr(RTCDtlsTransport, "_send_rtp", lose_the_tenth)
    try:
        answer = await server.answer(checked_offer((await caller.offer()).encode()), None)
        await caller.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        seconds = 0.0
        async with asyncio.timeout(300):
            while seconds < 0.02 * (60 - 1 - 4 - 3):  # one is lost, three wait for it, pieces have two or three
                piece = await server.receive()
                assert isinstance(piece, np.ndarray)
                seconds += len(piece) / LISTEN_RATE
    finally:
        await caller.close()
        await server.close()


async def test_the_older_path_is_the_same(gateway: Gateway, model: FakeWhisper) -> None:
    async with calling(gateway.http, "/v1/realtime?model=gpt-4o-realtime-preview") as caller:
        assert caller.path.startswith(f"{CALLS}/rtc_")
        assert (await caller.last("session.created"))["session"]["model"] == "gpt-4o-realtime-preview"


async def test_a_client_that_leaves_frees_its_work(gateway: Gateway, triton: FakeTriton, model: FakeWhisper) -> None:
    async with model.holding(*range(20)), calling(gateway.http, session=HEARD, pace=QUICK) as caller:
        await caller.until("session.created")
        caller.microphone.say(SPOKEN)
        await caller.until("input_audio_buffer.committed")
        async with asyncio.timeout(300):
            while not triton.calls:  # noqa: ASYNC110 - the fake has no event for it
                await asyncio.sleep(0.01)
        window = triton.calls[-1]
        await caller.close()
        async with asyncio.timeout(300):
            await window.cancelled.wait()
        await no_sessions()


async def test_a_client_that_vanishes_is_noticed(
    gateway: Gateway, model: FakeWhisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice, "CONSENT_INTERVAL", 0.01)
    async with calling(gateway.http, session=HEARD) as caller:
        await caller.until("session.created")
        before = ends("ended")
        (transport,) = caller.connection._RTCPeerConnection__iceTransports  # type: ignore[attr-defined]
        for protocol in transport._connection._protocols:
            protocol.transport.abort()  # as if the machine had lost its power
        await no_sessions()
        assert ends("ended") == before + 1


async def test_a_session_that_falls_far_behind_ends(
    gateway: Gateway, model: FakeWhisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "_MOST_WAITING", 1000)
    async with calling(gateway.http, session=HEARD) as caller:
        async with asyncio.timeout(300):
            await caller.closed.wait()
    await no_sessions()


async def test_a_client_that_never_connects_is_given_up(
    serve: Serve, model: FakeWhisper, triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "CONNECT_SECONDS", 0.0)
    before = ends("unreachable")
    async with serve(webrtc=True) as gateway:
        await gateway.follow(triton)
        response = await post(gateway.http, OFFER, f"{CALLS}?intent=transcription")
        assert response.status_code == 201
        await no_sessions()
    assert ends("unreachable") == before + 1


async def test_a_call_ends_at_the_deadline_of_sessions(
    serve: Serve, model: FakeWhisper, triton: FakeTriton, expire: Callable[[], None]
) -> None:
    async with serve(webrtc=True, realtime_session_timeout=86_400.0) as gateway:
        await gateway.follow(triton)
        async with calling(gateway.http, session=HEARD) as caller:
            await caller.until("session.created")
            expire()
            assert (await caller.last("error"))["error"]["code"] == "session_expired"
            async with asyncio.timeout(300):
                await caller.closed.wait()


async def test_calls_end_when_the_gateway_stops(serve: Serve, model: FakeWhisper, triton: FakeTriton) -> None:
    async with serve(webrtc=True) as gateway:
        await gateway.follow(triton)
        caller = Caller()
        await caller.accept(await post(gateway.http, await caller.offer(), f"{CALLS}?intent=transcription"))
        await caller.until("session.created")
    async with asyncio.timeout(300):
        await caller.closed.wait()
    await caller.close()


async def test_a_secret_begins_calls_with_its_configuration(
    serve: Serve, model: FakeWhisper, triton: FakeTriton
) -> None:
    async with serve(webrtc=True, api_keys="sk-test,sk-other") as gateway:
        await gateway.follow(triton)
        session: Any = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
        secret = (await gateway.openai.realtime.client_secrets.create(session=session)).value
        assert (await post(gateway.http, OFFER)).status_code == 401
        async with calling(gateway.http, key=secret) as caller:
            created = (await caller.last("session.created"))["session"]
            assert created["audio"]["input"]["transcription"]["model"] == "gpt-4o-transcribe"
            hangup = f"{caller.path}/hangup"
            as_browser = await gateway.http.post(hangup, headers={"authorization": f"Bearer {secret}"})
            assert as_browser.status_code == 401
            await gateway.openai.realtime.calls.hangup(caller.path.removeprefix(f"{CALLS}/"))
        async with calling(gateway.http, session=HEARD, key="sk-test") as caller:
            other = gateway.openai.with_options(api_key="sk-other")
            with pytest.raises(openai.NotFoundError):
                await other.realtime.calls.hangup(caller.path.removeprefix(f"{CALLS}/"))


async def test_calls_share_the_places_of_live_sessions(serve: Serve, model: FakeWhisper, triton: FakeTriton) -> None:
    async with serve(webrtc=True, max_realtime_sessions=1) as gateway:
        await gateway.follow(triton)
        async with calling(gateway.http, session=HEARD) as caller:
            await caller.until("session.created")
            full = await post(gateway.http, OFFER, f"{CALLS}?intent=transcription")
            assert (full.status_code, full.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        await no_sessions()
        bad = await post(gateway.http, OFFER.replace("a=rtcp-mux\n", ""), f"{CALLS}?intent=transcription")
        assert bad.status_code == 400
        async with calling(gateway.http, session=HEARD) as caller:
            await caller.until("session.created")


@pytest.mark.parametrize(
    ("offer", "problem"),
    [
        ("", "no session description"),
        ("hello", "no session description"),
        ('{"type": "offer", "sdp": "v=0"}', "no session description"),
        ("v=0\n", "this offers nothing"),
        (OFFER.replace("m=audio", "m=video"), "this offers video"),
        (
            OFFER.replace("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"),
            "offers",
        ),
        (OFFER + OFFER[OFFER.index("m=audio") :], "this offers audio, audio"),
        (OFFER.replace("a=sendrecv", "a=inactive"), "send audio"),
        (OFFER.replace("a=sendrecv", "a=recvonly"), "send audio"),
        (OFFER.replace("a=rtcp-mux\n", ""), "cannot be answered"),
        (OFFER.replace("a=ice-ufrag:abcd\n", ""), "cannot be answered"),
        (OFFER.replace("opus/48000/2", "speex/8000"), "cannot be answered"),
        (OFFER.replace("a=fingerprint", "a=other").replace("a=setup", "a=other"), "cannot be answered"),
        (OFFER + "a=x\n" * 20_000, "over 65536 bytes"),
    ],
)
async def test_a_bad_offer_is_named(gateway: Gateway, model: FakeWhisper, offer: str, problem: str) -> None:
    response = await post(gateway.http, offer, f"{CALLS}?intent=transcription")
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", "sdp")
    assert problem in error["message"]
    await no_sessions()


@pytest.mark.parametrize(
    ("parts", "status", "param"),
    [
        ({"session": "{}"}, 400, "sdp"),
        ({"sdp": OFFER, "session": "{"}, 400, "session"),
        ({"sdp": OFFER, "session": "[]"}, 400, "session"),
        ({"sdp": OFFER, "session": json.dumps({"type": "transcription", "audio": 1})}, 400, "session.audio"),
        ({"sdp": OFFER, "session": json.dumps({"type": "realtime", "model": "none"})}, 404, "model"),
        ({"sdp": OFFER.replace("a=sendrecv", "a=sendonly"), "session": json.dumps({"type": "realtime"})}, 400, "sdp"),
    ],
)
async def test_a_bad_form_is_named(
    gateway: Gateway, model: FakeWhisper, parts: dict[str, str], status: int, param: str
) -> None:
    response = await gateway.http.post(CALLS, files={name: (None, value) for name, value in parts.items()})
    assert (response.status_code, response.json()["error"]["param"]) == (status, param), response.text


async def test_an_offer_needs_its_content_type(gateway: Gateway) -> None:
    response = await gateway.http.post(CALLS, json={"sdp": OFFER})
    assert (response.status_code, response.json()["error"]["code"]) == (415, "unsupported_media_type")


def test_a_start_imports_nothing_of_webrtc() -> None:
    code = "import sys; from gateway.surfaces import load_surfaces; load_surfaces(()); print('aiortc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


async def test_without_webrtc_the_setting_is_named(gateway: Gateway, serve: Serve) -> None:
    async with serve() as without:
        response = await post(without.http, OFFER)
    assert (response.status_code, response.json()["error"]["code"]) == (501, "not_set_up")
    assert "WEBRTC=1" in response.json()["error"]["message"]


async def test_a_conversation_without_a_language_model_is_told_the_setting(
    serve: Serve, model: FakeWhisper, triton: FakeTriton
) -> None:
    async with serve(webrtc=True) as gateway:
        await gateway.follow(triton)
        response = await post(gateway.http, OFFER, f"{CALLS}?model=gpt-realtime")
    assert (response.status_code, response.json()["error"]["code"]) == (501, "not_set_up")
    assert "LLM_URL" in response.json()["error"]["message"]


async def test_the_answer_has_the_public_address(serve: Serve, model: FakeWhisper, triton: FakeTriton) -> None:
    async with serve(webrtc=True, webrtc_public_address="198.51.100.7") as gateway:
        await gateway.follow(triton)
        answer = (await post(gateway.http, OFFER, f"{CALLS}?intent=transcription")).text
    candidates = [line.split(" ")[4] for line in answer.splitlines() if line.startswith("a=candidate:")]
    assert set(candidates) == {"198.51.100.7"}


async def test_a_stun_server_tells_the_public_address(serve: Serve, model: FakeWhisper, triton: FakeTriton) -> None:
    async with TurnServer().serving() as server:
        server.mapped = "198.51.100.7", 50_000
        async with serve(webrtc=True, webrtc_ice_servers=f"stun:127.0.0.1:{server.port}") as gateway:
            await gateway.follow(triton)
            answer = (await post(gateway.http, OFFER, f"{CALLS}?intent=transcription")).text
    candidates = [line.split(" ")[4:8] for line in answer.splitlines() if line.startswith("a=candidate:")]
    assert ["198.51.100.7", "50000", "typ", "srflx"] in candidates
    assert "host" in {kind for *_, kind in candidates}


async def test_with_a_turn_server_all_packets_go_over_it(serve: Serve, model: FakeWhisper, triton: FakeTriton) -> None:
    async with TurnServer("gateway", "secret").serving() as server:
        settings: dict[str, Any] = {
            "webrtc_ice_servers": f"turn:127.0.0.1:{server.port}",
            "webrtc_turn_username": "gateway",
            "webrtc_turn_credential": "secret",
        }
        async with serve(webrtc=True, **settings) as gateway:
            await gateway.follow(triton)
            async with calling(gateway.http, session=HEARD, pace=QUICK) as caller:
                remote = caller.connection.remoteDescription.sdp
                kinds = [line.split(" ")[7] for line in remote.splitlines() if line.startswith("a=candidate:")]
                assert set(kinds) == {"relay"}
                await caller.until("session.created")
                caller.microphone.say(SPOKEN)
                await caller.until(f"{TRANSCRIPTION}.completed")
            await no_sessions()
    assert server.relayed > len(SPOKEN) / 2 / 480  # a packet has 480 samples


async def test_no_network_address_with_a_wrong_turn_password(
    serve: Serve, model: FakeWhisper, triton: FakeTriton
) -> None:
    async with TurnServer().serving() as server:
        settings: dict[str, Any] = {"webrtc_ice_servers": f"turn:127.0.0.1:{server.port}"}
        async with serve(webrtc=True, **settings, webrtc_turn_username="user") as gateway:
            await gateway.follow(triton)
            response = await post(gateway.http, OFFER, f"{CALLS}?intent=transcription")
    assert response.status_code == 503
    assert "no network address for WebRTC" in response.json()["error"]["message"]


@pytest.mark.parametrize("servers", ["http://a", "stun:", "stun:a,stun:b", "turn:a,turns:b"])
def test_wrong_servers_are_told_at_the_start(servers: str) -> None:
    with pytest.raises(ValueError, match="webrtc_ice_servers"):
        GatewaySettings.model_validate({"webrtc_ice_servers": servers})
