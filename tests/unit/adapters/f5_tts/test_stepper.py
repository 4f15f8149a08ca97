"""Rows that join and leave a batch between steps are what the package makes of each alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from adapters.f5_tts.checkpoint import Networks
from adapters.f5_tts.spectrogram import HOP, mel_spectrogram
from adapters.f5_tts.stepper import FlowStepper, Row, SamplingParams
from adapters.f5_tts.text import TextReader
from tests.unit.adapters.f5_tts.judge import WORDS, Judge, recording

TOLERANCE = 1e-3
"""Of values up to 12; padded sums are rounded in another order."""


@dataclass(frozen=True)
class Order:
    seconds: float
    text: str
    steps: int
    guidance: float
    seed: int

    @property
    def voice(self) -> NDArray[np.float32]:
        return recording(self.seconds, 120 + 20 * self.seed)


ORDERS = [
    Order(2.0, "I don't really care what you call me.", 8, 2.0, 3),
    Order(1.8, "Good morning, and good night to you.", 16, 2.0, 4),
    Order(1.5, "对，这就是我，万人敬仰的太乙真人。", 5, 3.0, 5),
    Order(2.0, "A silent spectator, watching species evolve.", 12, 0.0, 6),
    Order(1.9, "Remember that I am mighty, and enduring.", 7, 0.5, 7),
]


def make(networks: Networks, batch_frames: int = 10_000) -> FlowStepper:
    return FlowStepper(networks.transformer, torch.device("cpu"), torch.float32, batch_frames=batch_frames)


def open_row(stepper: FlowStepper, networks: Networks, order: Order) -> Row:
    mel = mel_spectrogram(order.voice)
    reader = TextReader(networks.vocabulary, normalize=False)
    (part,) = reader.parts(order.text, WORDS, len(mel) - 1, language="auto", speed=1.0)
    return stepper.open(mel, part.tokens, part.frames, SamplingParams(order.steps, order.guidance, order.seed))


def speech_of(row: Row, order: Order) -> torch.Tensor:
    return row.state[len(order.voice) // HOP + 1 :]


def alone(judge: Judge, order: Order) -> torch.Tensor:
    sampling = dict(steps=order.steps, guidance=order.guidance, seed=order.seed, speed=1.0)
    mel = judge.mel(order.voice, WORDS.strip() + "  ", order.text, **sampling)  # type: ignore[arg-type]
    return mel[1:]  # the first frame is the reference's last one


@torch.inference_mode()
def test_rows_that_join_between_steps_are_what_each_is_alone(networks: Networks, judge: Judge) -> None:
    stepper = make(networks)
    waiting, open_rows, done, together = list(ORDERS), {}, {}, []
    for step in itertools.count():
        if waiting and step % 3 == 0:
            order = waiting.pop(0)
            open_rows[open_row(stepper, networks, order)] = order
        for batch in stepper.plan(list(open_rows)):
            stepper.advance(batch)
            together.append(len(batch))
        for row in [row for row in open_rows if row.is_done]:
            order = open_rows.pop(row)
            done[order] = speech_of(row, order).clone()
        if not waiting and not open_rows:
            break
    assert max(together) >= 3
    for order in ORDERS:
        expected = alone(judge, order)
        assert float(expected.abs().max()) > 1
        assert torch.allclose(done[order], expected, atol=TOLERANCE), order


@torch.inference_mode()
def test_one_row_is_what_the_package_makes(networks: Networks, judge: Judge) -> None:
    stepper = make(networks)
    row = open_row(stepper, networks, ORDERS[0])
    while not row.is_done:
        (batch,) = stepper.plan([row])
        stepper.advance(batch)
    assert torch.allclose(speech_of(row, ORDERS[0]), alone(judge, ORDERS[0]), atol=1e-4)


@torch.inference_mode()
def test_rows_share_a_batch_only_if_they_are_alike(networks: Networks) -> None:
    stepper = make(networks)
    rows = [open_row(stepper, networks, order) for order in ORDERS]
    short = open_row(stepper, networks, Order(1.0, "Good morning to you.", 4, 2.0, 1))
    batches = stepper.plan([*rows, short])
    assert sorted(row.frames for batch in batches for row in batch) == sorted(row.frames for row in [*rows, short])
    assert (rows[3],) in batches  # it has no guidance
    assert (short,) in batches
    narrow = make(networks, batch_frames=2 * max(row.frames for row in rows))
    assert max(len(batch) for batch in narrow.plan(rows)) == 2
    assert max(len(batch) for batch in make(networks, batch_frames=1).plan(rows)) == 1


@torch.inference_mode()
def test_seed_decides_the_audio(networks: Networks) -> None:
    stepper = make(networks)
    orders = [Order(1.0, "Good morning to you.", 2, 2.0, seed) for seed in (1, 1, 2)]
    rows = [open_row(stepper, networks, Order(1.0, each.text, 2, 2.0, 1)) for each in orders[:2]]
    assert torch.equal(rows[0].state, rows[1].state)
    mel = mel_spectrogram(orders[0].voice)
    other = stepper.open(mel, [1, 2], rows[0].frames, SamplingParams(2, 2.0, 2))
    assert not torch.equal(rows[0].state, other.state)


@pytest.mark.parametrize("steps", [1, 5, 7, 16, 32, 100])
@torch.inference_mode()
def test_times_go_from_noise_to_speech(networks: Networks, steps: int) -> None:
    row = open_row(make(networks), networks, Order(1.0, "Good morning.", steps, 2.0, 1))
    assert len(row.times) == steps + 1
    assert row.times[0] == 0
    assert row.times[-1] == pytest.approx(1)
    assert bool((row.times.diff() > 0).all())
