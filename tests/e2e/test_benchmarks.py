"""The benchmarks that measure a server, as their commands run them, in their smallest size on the suite's server.

Each gets a folder with those weights alone that it asks for, as in a fresh clone.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from benchmarks import assistant, diarization, jobs, preparation, prose, realtime, similarity, stt
from tests.conftest import MODEL_DIR
from tests.e2e.server import ROOT, STOP_TIMEOUT, Server, wait_until_ready
from tests.e2e.words import ENGLISH
from tests.ports import free_ports

OWN_GATEWAY = "CALLER_SHARE"
"""A setting that the suite's gateway does not have."""


@contextmanager
def gateway(server: Server, log: Path, **settings: str) -> Iterator[Server]:
    """Run another gateway in front of the server's Triton."""
    (port,) = free_ports(1)
    own = {"API_PORT": str(port), "TRITON_GRPC_URL": server.grpc, "JOBS": "false", "MODEL_DIR": str(MODEL_DIR)}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway"],
            cwd=ROOT,
            env={**os.environ, **settings, **own},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        wait_until_ready(replace(server, process=process, http_port=port, log=log))
        yield replace(server, http_port=port)
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT)


class Bench(Protocol):
    """Runs a benchmark's command and returns its figures."""

    def __call__(self, name: str, *options: str) -> dict[str, Any]: ...


@pytest.fixture
def bench(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    models = tmp_path / "models"
    models.mkdir()

    @contextmanager
    def prepared_server(*weights: str, **settings: str) -> Iterator[Server]:
        for name in weights:
            (models / name).symlink_to(MODEL_DIR / name)
        with ExitStack() as stack:
            own = OWN_GATEWAY in settings
            yield stack.enter_context(gateway(server, tmp_path / "gateway.log", **settings)) if own else server

    monkeypatch.setenv("MODEL_DIR", str(models))
    monkeypatch.setattr(preparation, "prepared_server", prepared_server)

    def run(name: str, *options: str) -> dict[str, Any]:
        written = tmp_path / "written" / f"{name}.json"
        monkeypatch.setattr(sys, "argv", [name, *options, "--json", str(written)])
        importlib.import_module(f"benchmarks.{name}").main()
        figures: dict[str, Any] = json.loads(written.read_text())
        assert figures.pop("machine")["packages"]
        return figures

    return run


def test_stt(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPU_THREADS", "1")  # as the server has
    monkeypatch.setattr(stt, "QUICK", replace(stt.QUICK, clients=(1,), single=1, idle=1))
    monkeypatch.setattr(stt, "ENGLISH", ENGLISH[:1])
    recordings = stt.librivox
    monkeypatch.setattr(stt, "librivox", lambda: sorted(recordings(), key=lambda clip: clip.seconds)[:1])
    figures = bench("stt", "--quick", "--long-seconds", "5")
    assert figures["clips"]["n"] == 2
    assert figures["wer"]["ours"] <= 0.2
    assert set(figures["cpu_ratio"]["auto"]) == {"1"}


def test_voices(bench: Bench) -> None:
    assert len(bench("voices", "--quick")["voices"]) == 2


def test_words(bench: Bench) -> None:
    assert bench("words", "--quick")["start_seconds"]["median"] < 0.5


def test_similarity(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similarity, "SENTENCES", ("Good morning to you all.", "How are you today, my friend?"))
    figures = bench("similarity", "--quick")
    assert figures["kokoro"]["any"]["same"] > figures["kokoro"]["any"]["other"]


def test_diarization(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diarization, "TURNS", 3)
    monkeypatch.setattr(diarization, "ENGLISH", ENGLISH[:1])
    figures = bench("diarization", "--quick")
    assert figures["clean"]["found"]["missed"] < 0.2
    assert figures["one_speaker"]["confused"] > 0.2


def test_assistant(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant, "ANSWER", "One. Two. Three.")
    monkeypatch.setattr(assistant, "PACE", 0.01)
    assert set(bench("assistant", "--runs", "1")["seconds"]) == {"while_written", "when_written"}


def test_prose(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prose, "STORY", f"{ENGLISH[0]} {ENGLISH[5]}")
    monkeypatch.setattr(prose, "PACE", 0.01)
    assert bench("prose", "--times", "1", "--runs", "1")["speech"]["audio"] > 1


def test_jobs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PARTS", ("worker",))
    figures = jobs.measure(server, None, count=1, pause=1.0, most=1, seed=1)
    assert figures["kills"] == {"worker": 1}
    assert (figures["lost"], figures["results_right"], figures["called_back"]) == (0, 1, 1)


async def test_realtime(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime, "LANGUAGES", {"language_given": "en"})  # the warm turn gives none
    async with realtime.TimedLanguageModel(words=list(realtime.ANSWER), pace=0.01).serving() as model:
        with gateway(server, tmp_path / "gateway.log", LLM_URL=model.url) as own:
            figures = await realtime.measure(own.url, model, 1)
    for parts in figures["milliseconds"].values():
        assert set(parts) >= {"detection", "transcription", "speech"}
