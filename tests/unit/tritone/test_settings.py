"""Environment variables as data."""

import pytest

from tritone.settings import SHARED, Setting, UnusableSettingError

NUMBER = Setting("EXAMPLE_NUMBER", 4, "A number.", least=2)
WORD = Setting("EXAMPLE_WORD", "small", "A word.", choices=("small", "large"))
TEXT = Setting("EXAMPLE_TEXT", "", "A text.")


@pytest.mark.parametrize("environ", [{}, {"EXAMPLE_NUMBER": ""}])
def test_absent_and_empty_values_mean_the_default(environ: dict[str, str]) -> None:
    assert NUMBER.read(environ) == 4


def test_number_is_read_as_a_number() -> None:
    assert NUMBER.read({"EXAMPLE_NUMBER": "2"}) == 2


@pytest.mark.parametrize("value", ["1", "-3", "2.5", "many", " 3"])
def test_number_that_is_too_small_or_not_whole_is_rejected(value: str) -> None:
    with pytest.raises(UnusableSettingError, match=f"EXAMPLE_NUMBER={value} must be a whole number, 2 or more"):
        NUMBER.read({"EXAMPLE_NUMBER": value})


def test_choice_is_accepted_in_any_case() -> None:
    assert WORD.read({"EXAMPLE_WORD": "LARGE"}) == "large"


def test_unknown_choice_is_rejected_with_the_choices() -> None:
    with pytest.raises(UnusableSettingError, match="EXAMPLE_WORD=huge is unknown; choose from small, large"):
        WORD.read({"EXAMPLE_WORD": "huge"})


def test_text_keeps_its_case() -> None:
    assert TEXT.read({"EXAMPLE_TEXT": "Uncle_Fu"}) == "Uncle_Fu"


def test_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_NUMBER", "9")
    assert NUMBER.read() == 9


def test_shared_settings_are_declared_once() -> None:
    names = [setting.name for setting in SHARED]
    assert len(names) == len(set(names))
    assert all(setting.description.endswith(".") for setting in SHARED)
