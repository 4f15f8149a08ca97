"""Work that may wait."""

from __future__ import annotations

import triton_python_backend_utils as pb_utils

from adapters.triton.backlog import MOST, Backlog


def test_work_that_raises_is_logged_and_what_comes_after_it_is_done():
    pb_utils.Logger.lines.clear()
    done: list[int] = []

    def work(items: list[int]) -> None:
        if 0 in items:
            raise RuntimeError("a bug")
        done.extend(items)

    backlog = Backlog(work)
    backlog.put([*[0] * 2 * MOST, *range(1, 2 * MOST + 1)])
    backlog.close()
    assert done[-MOST:] == list(range(MOST + 1, 2 * MOST + 1))
    assert any("a bug" in line for _, line in pb_utils.Logger.lines)


def test_no_more_than_a_batch_is_taken_at_a_time_and_all_is_done_in_order():
    batches: list[list[int]] = []
    backlog = Backlog(batches.append)
    backlog.put(range(3 * MOST))
    backlog.close()
    assert [item for batch in batches for item in batch] == list(range(3 * MOST))
    assert max(map(len, batches)) <= MOST
