from __future__ import annotations

import threading

import pytest

from adapters.triton.background_batcher import MAX_BATCH, MAX_WAITING, BackgroundBatcher
from tests.unit.adapters.stand_in import pb_utils
from tritone.errors import Overloaded


def test_batch_that_raises_is_logged_and_later_batches_are_processed() -> None:
    pb_utils.Logger.lines.clear()
    done: list[int] = []

    def process(items: list[int]) -> None:
        if 0 in items:
            raise RuntimeError("a bug")
        done.extend(items)

    batcher = BackgroundBatcher(process)
    for item in (*[0] * 2 * MAX_BATCH, *range(1, 2 * MAX_BATCH + 1)):
        batcher.put(item)
    batcher.close()
    assert done[-MAX_BATCH:] == list(range(MAX_BATCH + 1, 2 * MAX_BATCH + 1))
    assert any("a bug" in line for _, line in pb_utils.Logger.lines)


def test_items_are_processed_in_order_in_batches_of_limited_size() -> None:
    batches: list[list[int]] = []
    batcher = BackgroundBatcher(batches.append)
    for item in range(3 * MAX_BATCH):
        batcher.put(item)
    batcher.close()
    assert [item for batch in batches for item in batch] == list(range(3 * MAX_BATCH))
    assert max(map(len, batches)) <= MAX_BATCH


def test_items_beyond_the_limit_are_rejected_and_those_that_wait_are_processed() -> None:
    begun, gate = threading.Event(), threading.Event()
    done: list[int] = []

    def process(items: list[int]) -> None:
        begun.set()
        assert gate.wait(300)
        done.extend(items)

    batcher = BackgroundBatcher(process)
    batcher.put(0)
    assert begun.wait(300)
    for item in range(1, MAX_WAITING + 1):
        batcher.put(item)
    with pytest.raises(Overloaded, match=f"at capacity \\({MAX_WAITING} windows in the background\\)"):
        batcher.put(-1)
    gate.set()
    batcher.close()
    assert done == list(range(MAX_WAITING + 1))
