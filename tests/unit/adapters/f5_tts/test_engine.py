"""The engine with its threads, on a tiny checkpoint: results, endings, deadlines, cancellation."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from adapters.f5_tts.checkpoint import Networks, load_networks
from adapters.f5_tts.engine import F5Engine
from adapters.f5_tts.settings import FAMILY, EngineSettings
from adapters.inflight.audio_collector import AudioCollector
from adapters.inflight.scheduler import Limits
from adapters.triton.references import Reference
from adapters.triton.speech_request import SpeechRequest
from tests.unit.adapters.clock import ManualClock
from tests.unit.adapters.f5_tts.judge import Judge, recording
from tritone.contract import SPEECH_RATE, SpeechOptions
from tritone.errors import DeadlinePassed, InvalidInput, Overloaded

WAIT = 600
SETTINGS = EngineSettings(
    limits=Limits(slots=3, positions=1, queue=20, queue_seconds=WAIT),
    batch_frames=4096,
    steps=4,
    guidance=2.0,
    normalize=True,
)
WORDS = "Some call me nature."


@contextmanager
def running(
    networks: Networks,
    settings: EngineSettings = SETTINGS,
    dtype: torch.dtype = torch.float32,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[F5Engine]:
    options = FAMILY.models["f5-tts"].options
    engine = F5Engine(networks, settings, options=options, device=torch.device("cpu"), dtype=dtype, clock=clock)
    try:
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def engine(networks: Networks) -> Iterator[F5Engine]:
    with running(networks) as engine:
        yield engine


class Watched(AudioCollector):
    """A client that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()
        self.begun = threading.Event()

    def start(self) -> None:
        self.begun.set()

    def audio(self, samples: NDArray[np.float32], rate: int = SPEECH_RATE) -> None:
        super().audio(samples, rate)
        self.heard.set()


def submit(
    engine: F5Engine,
    text: str,
    ref_audio: NDArray[np.float32] | None = None,
    *,
    timeout: float = math.inf,
    **options: Any,
) -> Watched:
    if ref_audio is not None:
        options = {"ref_text": WORDS, **options}
    wanted = SpeechOptions(**{"seed": 1, **options})
    reference = None if ref_audio is None else Reference.of(ref_audio, wanted.ref_text)
    request = SpeechRequest.read(text.encode(), wanted, engine.description, 4096, reference=reference)
    sink = Watched()
    engine.synthesize(request, sink, timeout=timeout)
    return sink


def speech(client: Watched) -> NDArray[np.float32]:
    assert client.wait(WAIT)
    return client.samples()


def test_clients_at_once_get_what_the_package_gives_each(engine: F5Engine, judge: Judge) -> None:
    texts = [f"This is the sentence with the number {word}." for word in ("one", "twenty one", "three", "forty four")]
    voices = [recording(1.5 + 0.1 * number, 120 + 30 * number, 0.02 + 0.1 * number) for number in range(len(texts))]
    clients = [
        submit(engine, text, voice, seed=number, nfe_step=4 + number)
        for number, (text, voice) in enumerate(zip(texts, voices, strict=True))
    ]
    for number, (text, voice, client) in enumerate(zip(texts, voices, clients, strict=True)):
        sampling = dict(steps=4 + number, guidance=2.0, seed=number, speed=1.0)
        expected = judge.speech(voice, f"{WORDS}  ", text, **sampling)
        assert np.allclose(speech(client), expected, atol=1e-3 * float(abs(expected).max()))
        assert client.reason == "stop"
    assert engine.load().active == engine.load().waiting == 0


def test_16_bits_are_near_32(networks: Networks, folder: Path) -> None:
    half = load_networks(folder, torch.device("cpu"), torch.bfloat16)
    audio = []
    for each, dtype in ((networks, torch.float32), (half, torch.bfloat16)):
        with running(each, dtype=dtype) as engine:
            audio.append(speech(submit(engine, "Good morning to you.", recording(1.5), nfe_step=4)))
    assert len(audio[0]) == len(audio[1])
    assert np.abs(audio[0] - audio[1]).mean() < 0.2 * np.abs(audio[0]).mean()


def test_default_voice_is_that_of_the_texts_language(engine: F5Engine) -> None:
    assert engine.description.default_voice == "basic_en"
    english = speech(submit(engine, "Good morning to you."))
    assert np.array_equal(english, speech(submit(engine, "Good morning to you.", voice="basic_en")))
    chinese = speech(submit(engine, "你好，世界，你好。"))
    assert not np.array_equal(chinese, speech(submit(engine, "你好，世界，你好。", voice="basic_en")))


def test_long_text_comes_part_by_part(engine: F5Engine) -> None:
    text = "Always remember, I am mighty and enduring, whatever it is that you may call me. " * 4
    client = submit(engine, text, recording(2.0), nfe_step=2)
    whole = speech(client)
    assert len(client.chunks) > 2
    assert sum(map(len, client.chunks)) == len(whole)
    assert np.isfinite(whole).all()


def test_same_seed_gives_the_same_audio(engine: F5Engine) -> None:
    one, again, other = (speech(submit(engine, "Good morning to you.", seed=seed)) for seed in (5, 5, 6))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_speed_changes_the_length(engine: F5Engine) -> None:
    slow, fast = (speech(submit(engine, "Good morning to all of you.", speed=speed)) for speed in (1.0, 2.0))
    assert len(fast) == pytest.approx(len(slow) / 2, rel=0.02)


@pytest.mark.parametrize(
    ("voice", "options", "problem"),
    [
        (recording(13), {}, "ref_audio: is 13.0 s long; this model takes at most 12 s"),
        (recording(2), {"ref_text": ""}, "ref_text: is missing"),
        (None, {"ref_text": WORDS}, "ref_text: is the words of ref_audio, which is missing"),
    ],
)
def test_wrong_reference_is_refused(
    engine: F5Engine, voice: NDArray[np.float32] | None, options: dict[str, Any], problem: str
) -> None:
    client = submit(engine, "Good morning.", voice, **options)
    with pytest.raises(InvalidInput, match=problem):
        speech(client)


@pytest.mark.parametrize("language", ["ko", "ja"])
def test_other_languages_are_refused(engine: F5Engine, language: str) -> None:
    with pytest.raises(InvalidInput, match=f"language: '{language}' is not supported; choose auto or one of: en, zh"):
        submit(engine, "Good morning.", language=language)


def test_client_that_leaves_frees_its_slot(networks: Networks) -> None:
    with running(networks, replace(SETTINGS, limits=replace(SETTINGS.limits, slots=1))) as engine:
        first = submit(engine, "A text that takes many steps. " * 20, recording(2.0), nfe_step=128)
        assert first.begun.wait(WAIT)
        second = submit(engine, "Good morning.", nfe_step=1)
        first.closed = True
        assert len(speech(second))
        assert engine.load().free_slots == 1


def test_passed_deadline_ends_a_request(networks: Networks) -> None:
    clock = ManualClock()
    with running(networks, clock=clock) as engine:
        client = submit(engine, "A text that takes many steps. " * 30, recording(2.0), nfe_step=128, timeout=10)
        assert client.begun.wait(WAIT)
        clock.now += 11
        with pytest.raises(DeadlinePassed, match=r"timed out after .* frames of audio"):
            speech(client)


def test_full_engine_refuses(networks: Networks) -> None:
    settings = replace(SETTINGS, limits=Limits(slots=1, positions=1, queue=1, queue_seconds=WAIT))
    with running(networks, settings) as engine:
        clients = [submit(engine, "A text that takes many steps. " * 20, nfe_step=128) for _ in range(2)]
        with pytest.raises(Overloaded, match=r"at capacity \(1 slots, 1 waiting\)"):
            submit(engine, "Good morning.")
        for client in clients:
            client.closed = True


def test_failed_batch_ends_its_requests_alone(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(networks) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(networks.transformer, "forward", lambda **_: 1 / 0)
            client = submit(engine, "Good morning.")
            with pytest.raises(ZeroDivisionError):
                speech(client)
        assert len(speech(submit(engine, "Good morning.")))


def test_samples_that_are_no_numbers_are_an_error(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks.vocoder, "decode", lambda mel: torch.full((len(mel) * 256,), torch.nan))
    with running(networks) as engine, pytest.raises(RuntimeError, match="NaN or infinite samples"):
        speech(submit(engine, "Good morning."))


def test_closing_engine_ends_open_requests(networks: Networks) -> None:
    with running(networks) as engine:
        client = submit(engine, "A text that takes many steps. " * 20, nfe_step=128)
        assert client.begun.wait(WAIT)
    with pytest.raises(Overloaded, match="shutting down"):
        speech(client)


def test_self_test_passes(engine: F5Engine) -> None:
    engine.self_test()
