"""The migration page from the earlier Qwen3-TTS server, run against the gateway."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from tests.fake_triton import FakeTriton
from tests.pages import Block, audio, blocks, environment, settings
from tests.unit.gateway.conftest import Gateway, Serve
from tests.unit.gateway.recordings import encoded, tone

PAGE = "docs/migration-qwen3-tts.md"


@pytest.mark.parametrize("block", blocks(PAGE, "sh", "python"), ids=lambda block: block.code.splitlines()[0][:50])
async def test_every_command_of_the_page_works(
    serve: Serve, qwen_gateway: Gateway, triton: FakeTriton, block: Block, tmp_path: Path
) -> None:
    (tmp_path / "ref_audio").mkdir()
    (tmp_path / "ref_audio" / "speaker.wav").write_bytes(encoded(tone(2), "wav", "pcm_s16le"))
    known = GatewaySettings.model_fields
    page = {name.lower(): value for name, value in settings(PAGE).items() if name.lower() in known}
    async with serve(**page, ref_audio_dir=tmp_path / "ref_audio") as gateway:
        run = await asyncio.create_subprocess_exec(
            *block.command(gateway.url),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        printed, _ = await run.communicate()
    assert run.returncode == 0, printed.decode()
    for name in block.written:
        container, seconds = audio(tmp_path / name)
        assert container == name.rpartition(".")[2].replace("opus", "ogg")
        assert seconds == pytest.approx(1.2, abs=0.1)
    # A call for a voice that the model does not hold is made again, with the recording.
    assert len({call.request_id for call in triton.calls}) == len(block.written)
