"""The supervisor's gRPC client of Triton, against a server that restricts what Triton restricts."""

from __future__ import annotations

import asyncio

import pytest

from supervisor.control import Control, LoadError, UnreachableError
from tests.ports import free_ports
from tests.unit.supervisor.control_stand_in import DESCRIPTION, SECRET, Triton
from tritone.catalogue import Catalogue

CATALOGUE = Catalogue.load({})


async def test_a_model_is_ready_between_its_load_and_its_unload(triton: Triton) -> None:
    async with Control(triton.address, SECRET) as control:
        assert await control.server_ready()
        assert not await control.model_ready("whisper-base")
        await control.load("whisper-base")
        assert await control.model_ready("whisper-base")
        await control.unload("whisper-base")
        assert not await control.model_ready("whisper-base")


async def test_a_load_that_fails_raises_the_words_of_the_server(triton: Triton) -> None:
    async with Control(triton.address, SECRET) as control:
        with pytest.raises(LoadError, match=r"^weights are damaged$"):
            await control.load("damaged")


@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_control_without_the_secret_is_rejected(triton: Triton, secret: str) -> None:
    triton.loaded = {"kokoro-82m"}
    async with Control(triton.address, secret) as control:
        with pytest.raises(LoadError, match="restricted"):
            await control.load("whisper-base")
        with pytest.raises(LoadError, match="restricted"):
            await control.unload("kokoro-82m")
    assert triton.loaded == {"kokoro-82m"}


async def test_a_proxy_of_the_environment_is_not_used(triton: Triton, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with Control(triton.address) as control:
        assert await control.server_ready()


async def test_a_server_that_does_not_listen_is_unreachable() -> None:
    async with Control(f"127.0.0.1:{free_ports(1)[0]}", SECRET) as control:
        with pytest.raises(UnreachableError):
            await control.server_ready()
        assert not await control.model_ready("whisper-base")
        with pytest.raises(LoadError):
            await control.load("whisper-base")


async def test_a_transcription_model_is_described_by_a_window_of_silence(triton: Triton) -> None:
    async with Control(triton.address) as control:
        assert await control.describe(CATALOGUE.models["whisper-base"]) == DESCRIPTION
    (request,) = triton.requests
    assert (request.model_name, request.parameters["describe"].bool_param) == ("whisper-base", True)
    assert [(tensor.name, list(tensor.shape)) for tensor in request.inputs] == [("audio", [1, 1600])]
    assert request.raw_input_contents == [bytes(1600 * 4)]
    assert [output.name for output in request.outputs] == ["description"]


async def test_a_voice_clone_is_described_without_a_reference(triton: Triton) -> None:
    triton.outputs = {
        "audio": "",
        "description": '{"voices": [], "languages": [], "default_voice": "", "speed_range": [1, 1], "options": []}',
    }
    async with Control(triton.address) as control:
        description = await control.describe(CATALOGUE.models["qwen3-tts-1.7b-clone"])
    assert description.options == ()
    (request,) = triton.requests
    assert [(tensor.name, list(tensor.shape)) for tensor in request.inputs] == [("text", [1])]
    assert request.raw_input_contents == [b"\0\0\0\0"]


@pytest.mark.parametrize(
    ("outputs", "error", "text"),
    [({}, "", "its answer has no description"), ({}, "stub is not healthy", "stub is not healthy")],
)
async def test_a_model_that_does_not_describe_itself_is_an_error(
    triton: Triton, outputs: dict[str, str], error: str, text: str
) -> None:
    triton.outputs, triton.error = outputs, error
    async with Control(triton.address) as control:
        with pytest.raises(LoadError, match=f"whisper-base does not describe itself: {text}"):
            await control.describe(CATALOGUE.models["whisper-base"])


@pytest.mark.parametrize("error", ["", "describe: is not a parameter"])
async def test_a_model_answers_with_or_without_success(triton: Triton, error: str) -> None:
    triton.error = error
    async with Control(triton.address) as control:
        assert await control.model_answers(CATALOGUE.models["whisper-base"])


async def test_the_model_of_the_document_is_sent_a_request_without_options(triton: Triton) -> None:
    companions = CATALOGUE.companions_of([CATALOGUE.models["whisper-base"]])
    (model,) = [companion for companion in companions if companion.id == "tritone"]
    async with Control(triton.address) as control:
        assert await control.model_answers(model)
    (request,) = triton.requests
    assert (request.model_name, list(request.inputs), list(request.outputs)) == ("tritone", [], [])
    assert "describe" not in request.parameters


async def begin_call(control: Control, triton: Triton) -> None:
    """Begin a call that is not answered, and cancel its caller."""
    triton.answering.clear()
    caller = asyncio.create_task(control.model_answers(CATALOGUE.models["whisper-base"]))
    await triton.called.get()
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)


async def test_a_call_whose_caller_left_goes_on_to_its_end(triton: Triton) -> None:
    async with asyncio.timeout(300), Control(triton.address) as control:
        await begin_call(control, triton)
        triton.answering.set()
    assert not await triton.ends.get()


async def test_a_call_to_a_dead_model_is_cancelled(triton: Triton) -> None:
    async with asyncio.timeout(300), Control(triton.address) as control:
        await begin_call(control, triton)
        control.forget(CATALOGUE.models["whisper-base"])
        assert await triton.ends.get()


async def test_a_call_without_an_answer_does_not_keep_the_client_open(
    triton: Triton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.control._LAST_ANSWERS", 0.01)
    async with asyncio.timeout(300), Control(triton.address) as control:
        await begin_call(control, triton)
    assert await triton.ends.get()


async def test_a_server_out_of_reach_is_not_live(triton: Triton) -> None:
    async with Control(triton.address) as control:
        assert await control.server_live()
    (port,) = free_ports(1)
    async with Control(f"127.0.0.1:{port}") as control:
        assert not await control.server_live()
