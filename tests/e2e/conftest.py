"""Real servers for the end-to-end tests: Triton, its models and the gateway, started by scripts/serve.

They end with the last test of this folder, so that they take no time from the unit tests.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from benchmarks.jobs import CALLBACKS
from tests.conftest import MODEL_DIR
from tests.e2e.server import NO_NETWORK, ROOT, Server, serve
from tests.e2e.words import ENGLISH
from tests.pages import settings
from tests.stand_ins.language_model import language_model_thread

SLOW = {"MAX_WAIT": "600", "FIRST_AUDIO_TIMEOUT": "600", "REQUEST_TIMEOUT": "7200"}
"""Deadlines of a server that hold however slow the machine is."""


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the default models, and a stand-in for a language model.

    It starts without network: scripts/test has built and fetched everything.
    """
    folder = tmp_path_factory.mktemp("serve")
    jobs = {"JOBS": "true", "JOBS_DIR": str(folder / "jobs"), **CALLBACKS}
    with (
        language_model_thread() as llm_url,
        serve(folder / "serve.log", **NO_NETWORK, **SLOW, **jobs, LLM_URL=llm_url, CPU_THREADS="1") as running,
    ):
        yield running


@pytest.fixture(scope="package")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0, timeout=300) as client:
        yield client


@pytest.fixture(scope="package")
def english(client: openai.OpenAI) -> list[bytes]:
    """The sentences of `ENGLISH`, synthesized, as WAV files."""
    return [
        client.audio.speech.create(model="kokoro-82m", voice="alloy", input=text, response_format="wav").content
        for text in ENGLISH
    ]


@pytest.fixture(scope="package")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the recordings that `ref_audio` may name in requests to `qwen` and `omni`."""
    return tmp_path_factory.mktemp("ref_audio")


@pytest.fixture(scope="package")
def qwen(tmp_path_factory: pytest.TempPathFactory, references: Path) -> Iterator[Server]:
    """A server with the five Qwen3-TTS models and `minsu`, on checkpoints with random weights, and whisper-base.

    Its settings are those of the page for users of the earlier Qwen3-TTS server.
    """
    folder = tmp_path_factory.mktemp("qwen")
    subprocess.run([ROOT / "scripts" / "make_tiny_models", folder / "models"], check=True)
    for name in ("whisper-base", "silero-vad", "speaker-embedding"):  # the real weights
        (folder / "models" / name).symlink_to(MODEL_DIR / name)
    migrated = settings("docs/migration-qwen3-tts.md")
    with serve(
        folder / "serve.log",
        **migrated,
        MODEL_DIR=str(folder / "models"),
        REF_AUDIO_DIR=str(references),
        EXTRA_MODELS=f"minsu={folder / 'models' / 'Qwen3-TTS-12Hz-0.6B-CustomVoice'}",
        STT_MODELS="whisper-base",
        CPU_THREADS="1",
        JOBS="false",
        CALLER_SHARE="1",  # the tests fill the models' own queues, all from one address
        **SLOW,
    ) as server:
        yield server


@pytest.fixture(scope="package")
def omni(tmp_path_factory: pytest.TempPathFactory, references: Path) -> Iterator[Server]:
    """A server with the two models of Qwen2.5-Omni, F5-TTS and Zonos, on checkpoints with random weights."""
    folder = tmp_path_factory.mktemp("omni")
    names = ("Qwen2.5-Omni-7B", "Qwen2.5-Omni-7B-AWQ", "F5TTS_v1_Base", "Zonos-v0.1-transformer")
    only = [word for name in names for word in ("--only", name)]
    subprocess.run([ROOT / "scripts" / "make_tiny_models", folder / "models", *only], check=True)
    with serve(
        folder / "serve.log",
        **NO_NETWORK,
        **SLOW,
        MODEL_DIR=str(folder / "models"),
        REF_AUDIO_DIR=str(references),
        TTS_MODES=settings("docs/migration-f5.md")["TTS_MODES"] + ",zonos",
        STT_MODELS="omni,omni-awq",
        OMNI_MAX_NEW_TOKENS="24",
        OMNI_SLOTS="3",
        F5_NFE_STEP="4",
        JOBS="false",
        CPU_THREADS="1",
    ) as server:
        yield server
