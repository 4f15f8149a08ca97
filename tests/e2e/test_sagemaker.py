"""The page about SageMaker: its commands are run in order, by the AWS CLI and boto3.

moto stands in for SageMaker's control plane, S3, ECR and autoscaling; `tests/stand_ins/sagemaker.py` for its runtime,
which passes requests on to a real gateway and Triton.
"""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.e2e.server import Server
from tests.pages import audio, blocks, environment
from tests.stand_ins.sagemaker import sagemaker_runtime

PAGE = "docs/sagemaker.md"
BUCKET = "tritone-123456789012"
"""The account is moto's."""


@pytest.fixture
def aws(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Variables that lead the AWS CLI and boto3 to the stand-ins."""
    moto = ThreadedMotoServer("127.0.0.1", port=0)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        with sagemaker_runtime(server.url, BUCKET) as runtime:
            for name, value in {
                "AWS_ENDPOINT_URL": f"http://{host}:{port}",
                "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": runtime,
                "AWS_DEFAULT_REGION": "eu-west-1",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_CONFIG_FILE": "/dev/null",
                "NO_PROXY": "127.0.0.1",
            }.items():
                monkeypatch.setenv(name, value)
            yield
    finally:
        moto.stop()


def script() -> str:
    """Return the page's commands, without those that need a container engine."""
    tools = f'export PATH="{Path(sys.executable).parent}:$PATH"'
    parts = [tools]
    for block in blocks(PAGE, "sh", "python"):
        if block.language == "python":
            parts.append(f"python -W error - <<'PYTHON'\n{block.code}PYTHON")
        elif "docker " not in block.code:
            parts.append(block.code)
    return "\n".join(parts).replace("ml.g6.xlarge", "ml.m5.xlarge")  # moto's list of instances is older


def test_every_command_of_the_page_works(aws: None, tmp_path: Path) -> None:
    for name in ("kokoro-82m", "whisper-base", "silero-vad", "speaker-embedding"):
        (tmp_path / "models" / name).mkdir(parents=True)
    command = ["bash", "-euxo", "pipefail", "-c", script()]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for file, kind in (("speech.wav", "wav"), ("speech.mp3", "mp3"), ("speech-of-json.wav", "wav")):
        if file == "speech-of-json.wav":
            (tmp_path / file).write_bytes(b64decode(json.loads((tmp_path / "speech.json").read_text())["audio"]))
        assert audio(tmp_path / file)[0] == kind
        assert 1 < audio(tmp_path / file)[1] < 5
    assert 1 < len((tmp_path / "speech.pcm").read_bytes()) / 48_000 < 5
    assert (tmp_path / "speech.vtt").read_text().startswith("WEBVTT")
    assert "00:00:0" in (tmp_path / "speech.srt").read_text()
    transcript = json.loads((tmp_path / "transcript.json").read_text())
    assert transcript["words"][0]["word"].strip() == "Good"
    for text in (transcript["text"], *((tmp_path / file).read_text() for file in ("speech.vtt", "speech.srt"))):
        assert "good morning to all of you" in " ".join(text.lower().split())
