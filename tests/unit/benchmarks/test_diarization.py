"""The errors that `scripts/bench diarization` counts."""

from __future__ import annotations

import pytest

from benchmarks.diarization import errors

TRUTH = [(0.0, 4.0, "anna"), (5.0, 9.0, "ben")]


def test_other_names_and_another_order_are_no_errors() -> None:
    found = [(5.0, 9.0, "SPEAKER_00"), (0.0, 4.0, "SPEAKER_01")]
    assert errors(TRUTH, found) == {"missed": 0.0, "invented": 0.0, "confused": 0.0, "confused_25": 0.0}


@pytest.mark.parametrize(
    ("found", "kind", "share"),
    [
        ([(0.0, 4.0, "A"), (6.0, 9.0, "B")], "missed", 1 / 8),
        ([(0.0, 5.0, "A"), (5.0, 9.0, "B")], "invented", 1 / 8),
        ([(0.0, 4.0, "A"), (5.0, 6.0, "A"), (6.0, 9.0, "B")], "confused", 1 / 8),
        ([(0.0, 4.0, "A"), (5.0, 9.0, "A")], "confused", 1 / 2),
        ([(0.0, 4.0, "A"), (5.0, 7.0, "B"), (7.0, 9.0, "C")], "confused", 1 / 4),
    ],
)
def test_each_kind_of_error_is_a_share_of_the_speech(
    found: list[tuple[float, float, str]], kind: str, share: float
) -> None:
    assert errors(TRUTH, found)[kind] == pytest.approx(share, abs=0.01)


def test_an_error_within_a_quarter_of_a_second_of_a_change_is_left_out_of_confused_25() -> None:
    truth = [(0.0, 4.0, "anna"), (4.0, 8.0, "ben")]
    found = [(0.0, 4.2, "A"), (4.2, 8.0, "B")]
    assert errors(truth, found)["confused"] > 0
    assert errors(truth, found)["confused_25"] == 0
