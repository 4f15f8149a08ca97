"""docs/finetuning.md: from recordings to a voice that the running server speaks with, by the commands of the page."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor.cache import cache_folder
from tests.e2e.server import NO_NETWORK, ROOT, Server
from tests.pages import Block, audio, blocks, environment

PAGE = "docs/finetuning.md"
HEARING = ("whisper-base", "silero-vad", "speaker-embedding")
RECORDINGS = ("0880", "0930")
"""Two sentences of a reader."""


@pytest.fixture
def reader(qwen: Server, weights: Path, tmp_path: Path) -> Iterator[Path]:
    """The folder of the page's reader: two recordings, and the clone's scripts."""
    (tmp_path / "recordings").mkdir()
    for number in RECORDINGS:
        name = f"sense_and_sensibility_01_austen_64kb-{number}.wav"
        (tmp_path / "recordings" / name).symlink_to(weights / "test-recordings" / "librivox" / name)
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    added = [model_dir(qwen) / name for name in HEARING if not (model_dir(qwen) / name).exists()]
    for link in added:
        link.symlink_to(weights / link.name)
    yield tmp_path
    for link in added:
        link.unlink()


def model_dir(server: Server) -> Path:
    return server.log.with_name("models")


def run(block: Block, server: Server, folder: Path) -> str:
    """Run a block of the page; the projects are in the reader's folder, and random weights speak for a second."""
    code = block.code.replace("scripts/finetune haru", f"scripts/finetune haru --work {folder}/finetunes")
    code = code.replace("--language en", "--language en --epochs 1")
    code = code.replace('"Good morning."', '"Good morning.", "max_new_tokens": 12')
    variables = {
        **environment(folder),
        **NO_NETWORK,
        "TRITONE_CACHE": str(cache_folder()),
        "MODEL_DIR": str(model_dir(server)),
        "API_PORT": str(server.http_port),
        "CPU_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    variables.pop("DEVICE", None)
    done = subprocess.run(
        Block(block.language, code).command(server.url),
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + server.log.read_text()[-3000:]
    return done.stdout


def listed(server: Server) -> tuple[list[str], list[str]]:
    """Return the ids of the served models, and those of their voices."""

    def get(path: str) -> Any:
        return httpx.get(f"{server.url}/v1/{path}", timeout=300).raise_for_status().json()

    return [model["id"] for model in get("models")["data"]], [voice["id"] for voice in get("audio/voices")["voices"]]


def test_recordings_become_a_voice_that_is_served_without_a_restart_and_deleted_again(
    qwen: Server, reader: Path
) -> None:
    finetune, speak, delete = blocks(PAGE, "sh")
    told = run(finetune, qwen, reader)
    assert "prepare: 2 clips" in told
    assert "check: 0 errors" in told
    assert "is served at" in told
    assert "young man" in (reader / "finetunes" / "haru" / "clips.csv").read_text()
    models, voices = listed(qwen)
    assert "haru" in voices
    assert models.count("haru") == 1
    run(speak, qwen, reader)
    container, seconds = audio(reader / "haru.mp3")
    assert container == "mp3"
    assert seconds > 0
    run(delete, qwen, reader)
    assert "haru" not in listed(qwen)[1]
    assert not (model_dir(qwen) / "finetuned" / "haru").exists()
