"""`scripts/finetune`: names are checked, a running server is told from none, and a voice is deleted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from finetuning import command
from finetuning.arguments import parse
from finetuning.command import Command, main
from finetuning.errors import FineTuningError
from finetuning.project import Project
from supervisor.settings import Settings
from tests.ports import free_ports


class Gateway:
    """A gateway whose list of models is that of the checkpoints below MODEL_DIR/finetuned."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str | None] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gateway.asked.append(self.headers.get("Authorization"))
                models = [
                    {"id": path.name, "created": path.stat().st_mtime_ns} for path in gateway.folder.glob("[!.]*")
                ]
                body = json.dumps({"data": models}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def served(self) -> list[Path]:
        """Return the folders of the models that it serves."""
        return list(self.folder.glob("[!.]*"))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path / "models" / "finetuned")
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a command line with a server's port, on a MODEL_DIR and a work folder of the test."""
    monkeypatch.setattr(command, "inherited", lambda: {"PATH": os.environ["PATH"], "API_KEYS": "k1, k2"})

    def run(*arguments: str, port: int | None = None) -> int:
        settings = Settings(_env_file=None, model_dir=tmp_path / "models", api_port=port or free_ports(1)[0])  # type: ignore[call-arg]
        return Command(parse([*arguments, "--work", str(tmp_path / "work")]), settings).run()

    return run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with an exported checkpoint."""
    project = Project.begin(tmp_path / "work" / "minsu", tmp_path / "models", {"speaker": "MinSu"})
    project.checkpoint.mkdir()
    for name in ("config.json", "finetuning.json"):
        (project.checkpoint / name).write_text("{}")
    return project


def test_voice_is_served_by_the_running_server_and_deleted_there(
    run: Callable[..., int], project: Project, gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    port = gateway.server.server_address[1]
    assert run("serve", "minsu", port=port) == 0
    assert '"model": "minsu", "voice": "minsu"' in capsys.readouterr().out
    assert set(gateway.asked) == {"Bearer k1"}
    assert run("minsu", "--delete", port=port) == 0
    assert f"not served any more; its recordings and its training stay in {project.folder}" in capsys.readouterr().out
    assert list(gateway.folder.iterdir()) == []


def test_command_frees_the_space_of_a_voice_whose_deletion_was_killed(run: Callable[..., int], tmp_path: Path) -> None:
    left = tmp_path / "models" / "finetuned" / ".minsu.removed"
    left.mkdir(parents=True)
    (left / "model.safetensors").touch()
    with pytest.raises(FineTuningError, match="there is no voice in"):
        run("other", "--delete")
    assert not left.exists()


def test_name_of_another_model_of_the_server_is_rejected_before_the_work(
    run: Callable[..., int], project: Project, gateway: Gateway, tmp_path: Path
) -> None:
    gateway.folder = tmp_path / "other"
    (gateway.folder / "minsu").mkdir(parents=True)
    with pytest.raises(FineTuningError, match="serves another model of this name: choose another"):
        run("serve", "minsu", port=gateway.server.server_address[1])


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_options_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "options.json").write_text(content)
    with pytest.raises(FineTuningError, match=r"options\.json is damaged .*: remove it, and begin with all options"):
        Project.open(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("whisper-1", "recordings"), "the name of a published model"),
        (("a/b", "recordings"), "a name has letters, digits"),
        (("minsu",), "name the recordings: scripts/finetune minsu RECORDINGS"),
        (("check", "minsu"), "there is no project in .*minsu: begin with"),
        (("minsu", "--delete"), "there is no voice in"),
    ],
)
def test_wrong_call_is_rejected_with_what_to_do(
    run: Callable[..., int], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(FineTuningError, match=message):
        run(*arguments)


def test_error_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "minsu", "--work", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


STEP = """
import pathlib, signal, sys
def stop(*_):
    with pathlib.Path(sys.argv[1]).open("a") as file:
        file.write("1")
    sys.exit(130)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
signal.pause()
"""
COMMAND = """
import os, sys
from finetuning.command import Command
made = Command.__new__(Command)
made._environ = dict(os.environ)
made._model_dir = ""
sys.executable = sys.argv[1]
try:
    made._child("whisper", "step")
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_interrupt_reaches_the_step_once_and_ends_the_command(tmp_path: Path) -> None:
    """The step is a program that records its interrupts."""
    counter, step, python = tmp_path / "interrupts", tmp_path / "step.py", tmp_path / "python"
    step.write_text(STEP)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{step}" "{counter}"\n')
    python.chmod(0o755)
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, python], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        assert process.wait(300) == 130
    assert counter.read_text() == "1"
