"""The supervisor as a process, between a Triton and a gateway that are stand-ins."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from supervisor.environments import ROOT
from tests.ports import free_ports
from tests.unit.supervisor.stand_ins import SPEECH, TRANSCRIPTION
from tritone.served import ServedDocument

PATIENCE = 300.0
MODULE = "tests.unit.supervisor.stand_ins"
STOPPED = ["gateway: SIGTERM", "document: stopping", "triton: SIGTERM"]


class Supervisor:
    """A supervisor in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self.output = ""
        server = folder / "home" / "bin" / "tritonserver"
        server.parent.mkdir(parents=True)
        server.write_text(f'#!/bin/sh\nexec {sys.executable} -m {MODULE} "$@"\n')
        server.chmod(0o755)

    def start(self, **variables: str) -> None:
        ports = ("API_PORT", "TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT")
        own = {
            "EVENTS": str(self._folder / "events"),
            "JOBS": "false",
            "TRITONE_CACHE": str(self._folder / "cache"),
            "TRITONSERVER_HOME": str(self._folder / "home"),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", MODULE, "supervise"],
            cwd=ROOT,
            env={**os.environ, **own, **dict(zip(ports, map(str, free_ports(4)), strict=True)), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_for_output(self, text: str) -> None:
        assert self._process
        assert self._process.stdout
        for line in self._process.stdout:
            self.output += line
            if text in line:
                return
        raise AssertionError(f"it never wrote {text!r}: {self.output}")

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        assert self._process
        (os.killpg if group else os.kill)(self._process.pid, number)

    def wait(self) -> int:
        """Return its exit status, once it and every process with its output have ended."""
        assert self._process
        rest, _ = self._process.communicate(timeout=300)
        self.output += rest
        return self._process.returncode

    @property
    def children(self) -> list[int]:
        """A pidfd for each of its children; the caller closes them."""
        assert self._process
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [os.pidfd_open(int(pid)) for pid in children.split()]

    def child(self, name: str) -> int:
        """Return the process id of its Triton, its gateway or its worker."""
        assert self._process
        children = psutil.Process(self._process.pid).children()
        parts = {
            child.pid: next(
                (part for part in ("gateway", "worker", "queue worker") if part in child.cmdline()), "triton"
            )
            for child in children
        }
        return next(pid for pid, part in parts.items() if part == name)

    def stub(self, model: str) -> int:
        """Return the process id of a model's stub."""
        children = psutil.Process(self.child("triton")).children()
        return next(child.pid for child in children if f"/{model}/1/" in " ".join(child.cmdline()))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self) -> None:
        if self._process and self._process.returncode is None:
            self._process.terminate()
            self.wait()

    def has_more(self, event: str, count: int) -> bool:
        """Return whether an event has happened more than `count` times."""
        return self.events.count(event) > count

    @property
    def events(self) -> list[str]:
        path = self._folder / "events"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def document(self) -> ServedDocument:
        (path,) = (self._folder / "cache" / "runs").glob("*/served.json")
        return ServedDocument.from_json(path.read_bytes())

    @property
    def shared_memory(self) -> list[Path]:
        names = [path.name for path in (self._folder / "cache" / "runs").iterdir() if path.is_dir()]
        return [path for name in names for path in Path("/dev/shm").glob(f"{name}*")]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("group", [False, True], ids=["alone", "group"])
def test_a_signal_stops_the_gateway_then_triton_and_leaves_nothing(
    supervisor: Supervisor, number: signal.Signals, group: bool
) -> None:
    supervisor.start()
    supervisor.wait_for_output("stop with Ctrl-C")
    assert supervisor.shared_memory
    supervisor.send(number, group=group)
    assert supervisor.wait() == 0, supervisor.output
    assert supervisor.events[-3:] == STOPPED
    assert supervisor.shared_memory == []


def test_further_signals_change_nothing(supervisor: Supervisor) -> None:
    supervisor.start()
    supervisor.wait_for_output("stop with Ctrl-C")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        supervisor.send(number)
    assert supervisor.wait() == 0, supervisor.output
    assert supervisor.events[-3:] == STOPPED


def test_models_are_loaded_with_the_secret_before_the_gateway_serves(supervisor: Supervisor) -> None:
    supervisor.start()
    supervisor.wait_for_output("stop with Ctrl-C")
    *loads, last = supervisor.events
    assert sorted(loads) == [
        "triton: load kokoro-82m True",
        "triton: load transcription-long True",
        "triton: load tritone True",
        "triton: load whisper-base True",
    ]
    assert last == "gateway: GET /ready"


def test_the_banner_has_the_address_the_models_and_commands_to_try(supervisor: Supervisor) -> None:
    port = str(*free_ports(1))
    supervisor.start(API_PORT=port)
    supervisor.wait_for_output("stop with Ctrl-C")
    assert f"serving at http://127.0.0.1:{port} after " in supervisor.output
    assert "kokoro-82m: speech, also as tts-1, " in supervisor.output
    assert f"curl http://127.0.0.1:{port}/v1/audio/speech -o hello.mp3 " in supervisor.output
    assert "/v1/audio/transcriptions -F model=whisper-base -F file=@hello.mp3" in supervisor.output
    assert f"page: http://127.0.0.1:{port}/ " in supervisor.output
    assert "Authorization" not in supervisor.output


def test_the_commands_to_try_have_a_key_if_the_gateway_requires_one(supervisor: Supervisor) -> None:
    supervisor.start(API_KEYS="k")
    supervisor.wait_for_output("stop with Ctrl-C")
    assert supervisor.output.count('-H "Authorization: Bearer $API_KEY"') == 2


def test_an_open_http_port_of_a_vulnerable_triton_is_warned_of(supervisor: Supervisor) -> None:
    supervisor.start(TRITON_HTTP="true")
    supervisor.wait_for_output("stop with Ctrl-C")
    (line,) = [line for line in supervisor.output.splitlines() if line.startswith("warning")]
    assert "CVE-2025-23310, CVE-2025-23311" in line
    assert "127.0.0.1 alone" in line


def test_a_shut_http_port_is_not_warned_of(supervisor: Supervisor) -> None:
    supervisor.start()
    supervisor.wait_for_output("stop with Ctrl-C")
    assert "warning" not in supervisor.output


def test_without_a_gateway_only_triton_is_served(supervisor: Supervisor) -> None:
    supervisor.start(GATEWAY="false")
    supervisor.wait_for_output("stop with Ctrl-C")
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0, supervisor.output
    assert not [event for event in supervisor.events if "gateway" in event]
    assert "(gRPC) after" in supervisor.output


def test_a_model_that_cannot_be_loaded_stops_everything(supervisor: Supervisor) -> None:
    supervisor.start(REFUSES="whisper-base")
    assert supervisor.wait() == 1
    assert "not started: weights are damaged\n" in supervisor.output
    assert "triton: SIGTERM" in supervisor.events
    assert "gateway: GET /ready" not in supervisor.events
    assert supervisor.shared_memory == []


def test_the_served_document_follows_the_run_from_its_start_to_its_end(supervisor: Supervisor) -> None:
    supervisor.start()
    supervisor.wait_for_output("stop with Ctrl-C")
    serving = supervisor.document
    assert serving.state == "serving"
    assert {model.id: model.state for model in serving.models} == {"kokoro-82m": "ready", "whisper-base": "ready"}
    assert [model.description for model in serving.models] == [SPEECH, TRANSCRIPTION]
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0, supervisor.output
    assert supervisor.document.state == "stopping"
    assert supervisor.document.version == serving.version + 1


def test_a_model_that_cannot_be_loaded_is_failed_in_the_document(supervisor: Supervisor) -> None:
    supervisor.start(REFUSES="whisper-base")
    assert supervisor.wait() == 1
    assert {model.id: model.state for model in supervisor.document.models}["whisper-base"] == "failed"


@pytest.mark.parametrize("name", ["triton", "gateway"])
def test_a_dying_part_stops_the_rest_and_is_reported(supervisor: Supervisor, name: str) -> None:
    supervisor.start(DIES=name)
    assert supervisor.wait() == 1
    assert f"{name} ended with status 1\n" in supervisor.output
    assert f"{name}: out of memory" in supervisor.output
    assert supervisor.shared_memory == []


def test_nothing_of_a_killed_supervisor_remains_once_the_next_has_started(supervisor: Supervisor) -> None:
    supervisor.start(ORPHAN="no")
    supervisor.wait_for_output("stop with Ctrl-C")
    children = supervisor.children
    left = supervisor.shared_memory
    supervisor.send(signal.SIGKILL)
    assert supervisor.wait() == -signal.SIGKILL
    assert len(children) == 2
    for child in children:
        assert select.select([child], [], [], PATIENCE)[0]
        os.close(child)
    assert [path for path in left if path.exists()] == left
    supervisor.start()
    supervisor.wait_for_output("stop with Ctrl-C")
    assert not [path for path in left if path.exists()]


def test_a_dead_gateway_is_started_again_and_triton_is_kept(supervisor: Supervisor) -> None:
    supervisor.start()
    supervisor.wait_for_output("stop with Ctrl-C")
    loads = [event for event in supervisor.events if "load" in event]
    os.kill(supervisor.child("gateway"), signal.SIGKILL)
    supervisor.wait_for_output("gateway died (SIGKILL), restarting in 1 s")
    supervisor.wait_for_output("gateway serves again")
    assert [event for event in supervisor.events if "load" in event] == loads
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0, supervisor.output
    assert supervisor.events[-3:] == STOPPED


def test_a_dead_triton_is_started_again_with_its_models_and_the_gateway_is_kept(supervisor: Supervisor) -> None:
    supervisor.start()
    supervisor.wait_for_output("stop with Ctrl-C")
    gateway = supervisor.child("gateway")
    os.kill(supervisor.child("triton"), signal.SIGKILL)
    supervisor.wait_for_output("triton died (SIGKILL), restarting in 1 s")
    lost = supervisor.document
    assert lost.state == "starting"
    assert [(model.state, model.loads, model.lost_loads) for model in lost.models] == [("loading", 1, 1)] * 2
    supervisor.wait_for_output("triton serves again")
    found = supervisor.document
    assert found.state == "serving"
    assert [(model.state, model.loads, model.lost_loads) for model in found.models] == [("ready", 2, 1)] * 2
    assert supervisor.child("gateway") == gateway
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0, supervisor.output
    assert supervisor.events[-3:] == STOPPED
    assert supervisor.shared_memory == []


@pytest.mark.parametrize(
    ("name", "settings"),
    [("worker", {"JOBS": "true"}), ("queue worker", {"AWS_SQS_ASSISTANT_QUEUE_URL": "http://localhost/queue"})],
)
def test_a_worker_is_started_again_however_often_it_dies(
    supervisor: Supervisor, name: str, settings: dict[str, str]
) -> None:
    supervisor.start(FAST="1", MAX_RESTARTS="0", **settings)
    supervisor.wait_for_output("stop with Ctrl-C")
    supervisor.wait_until(partial(supervisor.has_more, f"{name}: start", 0))
    for _ in range(2):
        started = supervisor.events.count(f"{name}: start")
        os.kill(supervisor.child(name), signal.SIGKILL)
        supervisor.wait_for_output(f"{name} died (SIGKILL), restarting in")
        supervisor.wait_for_output(f"{name} serves again")
        supervisor.wait_until(partial(supervisor.has_more, f"{name}: start", started))
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0, supervisor.output
    assert supervisor.events[-4:] == [f"{name}: SIGTERM", *STOPPED]


@pytest.mark.parametrize("name", ["triton", "gateway"])
def test_a_stopped_part_is_replaced(supervisor: Supervisor, name: str) -> None:
    supervisor.start(FAST="1")
    supervisor.wait_for_output("stop with Ctrl-C")
    os.kill(supervisor.child(name), signal.SIGSTOP)
    supervisor.wait_for_output(f"{name} died (stopped by a signal, killed), restarting in ")
    supervisor.wait_for_output(f"{name} serves again")


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "SIGKILL"), (signal.SIGTERM, "SIGTERM"), (signal.SIGSTOP, "stopped by a signal, killed")],
)
def test_a_model_with_a_dead_or_stopped_stub_is_loaded_again(
    supervisor: Supervisor, number: signal.Signals, reason: str
) -> None:
    supervisor.start(FAST="1")
    supervisor.wait_for_output("stop with Ctrl-C")
    triton = supervisor.child("triton")
    (region,) = [path for path in supervisor.shared_memory if "_whisper-base_" in path.name]
    os.kill(supervisor.stub("whisper-base"), number)
    supervisor.wait_for_output(f"the process of whisper-base died ({reason}), loading the model again now")
    supervisor.wait_for_output("loading whisper-base: done")
    supervisor.wait_until(lambda: {model.id: model.loads for model in supervisor.document.models}["whisper-base"] == 2)
    assert {model.id: (model.state, model.loads, model.lost_loads) for model in supervisor.document.models} == {
        "kokoro-82m": ("ready", 1, 0),
        "whisper-base": ("ready", 2, 1),
    }
    supervisor.wait_until(lambda: not region.exists())
    assert supervisor.child("triton") == triton


def test_a_part_that_dies_too_often_ends_the_run_with_the_reasons(supervisor: Supervisor) -> None:
    supervisor.start(FAST="1", MAX_RESTARTS="1")
    supervisor.wait_for_output("stop with Ctrl-C")
    os.kill(supervisor.child("gateway"), signal.SIGKILL)
    supervisor.wait_for_output("gateway serves again")
    os.kill(supervisor.child("gateway"), signal.SIGSEGV)
    assert supervisor.wait() == 1
    assert "gateway died 2 times without a minute of service: SIGKILL, SIGSEGV\n" in supervisor.output
    assert supervisor.events[-2:] == STOPPED[1:]
    assert supervisor.shared_memory == []
