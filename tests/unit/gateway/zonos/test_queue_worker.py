"""Jobs as messages: at least once from the queue, once in the bucket, the same notice however often it is sent.

S3 and SQS are a stand-in (`tests/stand_ins/aws.py`), and so is Triton.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.fake_triton import Call, FakeTriton
from tests.ports import free_ports
from tests.stand_ins.aws import Aws
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import FakeSpeech, tone
from tests.unit.gateway.zonos.queue_worker import COMES_BACK_SOON, Queues, queue_worker, while_running
from tritone.errors import Overloaded

TEXT = {"text": "Good morning.", "speaker_id": "af_kore"}


@pytest.fixture
def queues(aws: Aws) -> Queues:
    return Queues.make(aws)


@pytest.fixture
async def speaking(triton: FakeTriton) -> FakeTriton:
    """A Triton without transcription, for which a worker would need weights."""
    del triton.handlers["whisper-base"]
    await triton.publish()
    return triton


@asynccontextmanager
async def working(queues: Queues, triton: FakeTriton, folder: Path, **more: str) -> AsyncIterator[Any]:
    async with queue_worker(queues.settings(triton.address, **more), folder) as process:
        yield process


async def test_messages_become_audio_and_notices(queues: Queues, speaking: FakeTriton, tmp_path: Path) -> None:
    ids = [queues.aws.send(queues.jobs, **TEXT), queues.aws.send(queues.jobs, **TEXT, job_id="order-7")]
    async with working(queues, speaking, tmp_path) as worker:
        notices = await while_running(worker, queues.all_notices(2))
    assert notices.keys() == {ids[0], "order-7"}
    for (notice,) in notices.values():
        assert (notice["status"], notice["speaker_id"], notice["model"]) == ("completed", "af_kore", "kokoro-82m")
        assert notice["duration"] == pytest.approx(1.2, abs=0.01)
    assert queues.problems(notices) == []


async def test_a_message_that_comes_twice_is_worked_on_once(
    queues: Queues, speaking: FakeTriton, tmp_path: Path
) -> None:
    for _ in range(2):
        queues.aws.send(queues.jobs, **TEXT, job_id="order-7")
    async with working(queues, speaking, tmp_path, SQS_AT_ONCE="1") as worker:
        notices = await while_running(worker, queues.all_notices(1))
    assert notices.keys() == {"order-7"}
    assert len(notices["order-7"]) == 2
    assert len(speaking.calls) == 1
    assert queues.problems(notices) == []


async def test_nothing_is_lost_and_no_notice_differs_while_workers_are_killed(
    queues: Queues, speaking: FakeTriton, tmp_path: Path
) -> None:
    begun = asyncio.Queue[str]()

    async def model(call: Call) -> AsyncIterator[Any]:
        # Another length each time, as a model that samples: two workers make different audio of one text.
        begun.put_nowait(call.request_id)
        chunk = tone(0.2 + 0.01 * begun.qsize())
        async for response in FakeSpeech(chunks=[chunk, chunk])(call):
            await asyncio.sleep(0.05)
            yield response

    model.description = FakeSpeech().description  # type: ignore[attr-defined]
    speaking.handlers["kokoro-82m"] = model
    ids = {queues.aws.send(queues.jobs, **TEXT, number=number) for number in range(6)}
    rng = np.random.default_rng(3)
    for _ in range(2):
        async with working(queues, speaking, tmp_path, **COMES_BACK_SOON) as worker, asyncio.timeout(300):
            await while_running(worker, begun.get())
            await asyncio.sleep(rng.uniform(0, 0.3))  # somewhere in its work
    async with working(queues, speaking, tmp_path) as worker:
        notices = await while_running(worker, queues.all_notices(len(ids)))
    assert notices.keys() == ids
    assert queues.problems(notices) == []


async def test_long_work_keeps_its_message(queues: Queues, speaking: FakeTriton, tmp_path: Path) -> None:
    speech = FakeSpeech(gates=[asyncio.Event()])
    speaking.handlers["kokoro-82m"] = speech
    queues.aws.send(queues.jobs, **TEXT)
    async with working(queues, speaking, tmp_path, SQS_VISIBILITY="12"):
        async with asyncio.timeout(300):
            await speech.called.wait()
        # Longer than it is hidden for: without its renewal it would come here.
        found = await asyncio.to_thread(queues.aws.take, queues.jobs, 15)
        assert found == []
        speech.gates[0].set()
        notices = await queues.all_notices(1)
    assert len(speaking.calls) == 1
    assert queues.problems(notices) == []


async def test_a_worker_finishes_its_messages_after_sigterm(
    queues: Queues, speaking: FakeTriton, tmp_path: Path
) -> None:
    speech = FakeSpeech(gates=[asyncio.Event()])
    speaking.handlers["kokoro-82m"] = speech
    queues.aws.send(queues.jobs, **TEXT)
    async with working(queues, speaking, tmp_path) as worker, asyncio.timeout(300):
        await speech.called.wait()
        worker.send_signal(signal.SIGTERM)
        speech.gates[0].set()
        assert await worker.wait() == 0
    notices = await queues.all_notices(1)
    assert queues.problems(notices) == []


@pytest.mark.parametrize("dead_letters", [True, False], ids=["dead-letter queue", "bucket"])
async def test_a_message_that_cannot_succeed_is_set_aside_and_told(
    aws: Aws, speaking: FakeTriton, tmp_path: Path, dead_letters: bool
) -> None:
    dead = aws.queue(f"dead-{tmp_path.parent.name}-{tmp_path.name}".replace("_", "-")[:80]) if dead_letters else ""
    queues = Queues.make(aws, dead_letters=dead)
    wrong = {
        aws.send(queues.jobs, speaker_id="af_kore"): "text: Field required",
        aws.send(queues.jobs, text="Hello.", speaker_id="bogus"): "speaker_id: kokoro-82m has no voice 'bogus'",
        aws.sqs.send_message(QueueUrl=queues.jobs, MessageBody="no JSON")["MessageId"]: "the message: it is not JSON",
    }
    async with working(queues, speaking, tmp_path) as worker:
        notices = await while_running(worker, queues.all_notices(3))
    for job_id, reason in wrong.items():
        assert notices[job_id][0]["status"] == "failed"
        assert notices[job_id][0]["error"].startswith(reason)
    if dead:
        assert queues.aws.depth(dead) == 3
    else:
        kept = [json.loads(each) for each in aws.objects(queues.bucket, "dead-letters/").values()]
        assert {each["message_id"] for each in kept} == wrong.keys()
        assert {"no JSON"} < {each["body"] for each in kept}


async def test_the_id_of_another_job_is_not_used_again(queues: Queues, speaking: FakeTriton, tmp_path: Path) -> None:
    queues.aws.send(queues.jobs, **TEXT, job_id="order-7")
    async with working(queues, speaking, tmp_path):
        first = await queues.all_notices(1)
        queues.aws.send(queues.jobs, text="Something else.", job_id="order-7")
        async with asyncio.timeout(300):
            while not queues.aws.objects(queues.bucket, "dead-letters/"):  # noqa: ASYNC110 - S3 has no event
                await asyncio.sleep(0.1)
    assert queues.aws.take(queues.notices) == []
    assert len(first["order-7"]) == 1


async def test_a_model_at_capacity_is_waited_for(queues: Queues, speaking: FakeTriton, tmp_path: Path) -> None:
    failures = iter([Overloaded("full", 1), None])

    async def model(call: Call) -> AsyncIterator[Any]:
        if failure := next(failures):
            raise failure
        async for response in FakeSpeech()(call):
            yield response

    model.description = FakeSpeech().description  # type: ignore[attr-defined]
    speaking.handlers["kokoro-82m"] = model
    queues.aws.send(queues.jobs, **TEXT)
    async with working(queues, speaking, tmp_path) as worker:
        notices = await while_running(worker, queues.all_notices(1))
    assert queues.problems(notices) == []
    assert len(speaking.calls) == 2


async def test_prompts_are_answered_from_their_queue_and_metrics_are_served(
    queues: Queues, speaking: FakeTriton, llm: LanguageModelServer, tmp_path: Path
) -> None:
    message = queues.aws.send(queues.jobs, prompt="How is the weather?", speaker_id="af_kore")
    (port,) = free_ports(1)
    settings = queues.settings(speaking.address, "ASSISTANT", LLM_URL=llm.url, SQS_METRICS_PORT=str(port))
    async with queue_worker(settings, tmp_path):
        notices = await queues.all_notices(1)
        async with httpx.AsyncClient(trust_env=False, timeout=300) as client:
            metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    assert notices[message][0]["text"] == "Good morning. It is sunny."
    assert 'tritone_queue_messages_total{outcome="done",queue="assistant"} 1.0' in metrics
    assert 'tritone_queue_age_seconds_count{queue="assistant"} 1.0' in metrics
    assert 'tritone_queue_depth{queue="assistant",state="waiting"}' in metrics


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({}, "AWS_SQS_SYNTHESIZE_QUEUE_URL"), ({"AWS_SQS_SYNTHESIZE_QUEUE_URL": "http://sqs/q"}, "S3_BUCKET_NAME")],
)
async def test_a_worker_without_a_queue_or_a_bucket_says_so(
    triton: FakeTriton, tmp_path: Path, settings: dict[str, str], problem: str
) -> None:
    async with queue_worker({"PYTHONPATH": str(Path.cwd()), **settings}, tmp_path) as process:
        assert await process.wait() == 2
    assert problem in (tmp_path / "worker.log").read_text()
