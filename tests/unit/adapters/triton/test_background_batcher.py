from __future__ import annotations

from adapters.triton.background_batcher import MAX_BATCH, BackgroundBatcher
from tests.unit.adapters.stand_in import pb_utils


def test_batch_that_raises_is_logged_and_later_batches_are_processed() -> None:
    pb_utils.Logger.lines.clear()
    done: list[int] = []

    def process(items: list[int]) -> None:
        if 0 in items:
            raise RuntimeError("a bug")
        done.extend(items)

    batcher = BackgroundBatcher(process)
    batcher.put([*[0] * 2 * MAX_BATCH, *range(1, 2 * MAX_BATCH + 1)])
    batcher.close()
    assert done[-MAX_BATCH:] == list(range(MAX_BATCH + 1, 2 * MAX_BATCH + 1))
    assert any("a bug" in line for _, line in pb_utils.Logger.lines)


def test_items_are_processed_in_order_in_batches_of_limited_size() -> None:
    batches: list[list[int]] = []
    batcher = BackgroundBatcher(batches.append)
    batcher.put(range(3 * MAX_BATCH))
    batcher.close()
    assert [item for batch in batches for item in batch] == list(range(3 * MAX_BATCH))
    assert max(map(len, batches)) <= MAX_BATCH
