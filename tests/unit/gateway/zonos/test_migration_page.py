"""The commands of the page for users of the earlier Zonos service, run against the gateway."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from tests.fake_triton import FakeTriton
from tests.pages import Block, audio, blocks, environment, settings
from tests.stand_ins.language_model import LanguageModelServer
from tests.unit.gateway.conftest import Serve
from tests.unit.gateway.recordings import encoded, tone

PAGE = "docs/migration-zonos.md"


@pytest.mark.parametrize("block", blocks(PAGE, "sh"), ids=lambda block: block.code.splitlines()[0][:50])
async def test_every_command_of_the_page_works(
    serve: Serve, triton: FakeTriton, llm: LanguageModelServer, block: Block, tmp_path: Path
) -> None:
    (tmp_path / "speaker.wav").write_bytes(encoded(tone(2), "wav", "pcm_s16le"))
    page = {
        name.lower(): value for name, value in settings(PAGE).items() if name.lower() in GatewaySettings.model_fields
    }
    async with serve(**page, llm_url=llm.url, voices_dir=tmp_path / "voices") as gateway:
        run = await asyncio.create_subprocess_exec(
            *block.command(gateway.url),
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        printed, problems = await run.communicate()
    assert run.returncode == 0, problems.decode() + printed.decode()
    for name in block.written:
        assert audio(tmp_path / name)[0] == "mp3"
    if not block.written:
        answer = json.loads(printed)
        assert answer.get("speaker_id", "narrator") == "narrator"
        assert answer["status"] in ("ok", "completed")
