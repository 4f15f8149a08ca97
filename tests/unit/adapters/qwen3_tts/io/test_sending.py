"""The sending thread and its sinks."""

from __future__ import annotations

import threading
from unittest.mock import Mock

from adapters.inflight.audio_sink import ResponseSink
from adapters.inflight.sending import SendingThread
from tests.unit.adapters.qwen3_tts.scheduling.fakes import WAIT, audio_of


def test_cancelled_client_is_sent_nothing_more() -> None:
    woken, reply = threading.Event(), Mock()
    reply.is_cancelled.return_value = True
    sender = SendingThread(woken.set)
    sink = ResponseSink(reply, sender.enqueue)
    sink.open()
    assert woken.wait(WAIT)
    sink.audio(audio_of(1, 2))
    sender.close()
    assert [name for name, *_ in reply.method_calls] == ["is_cancelled", "fail"]
