"""Which models are chosen, and what answers to which name."""

import pytest

from tritone.catalogue import Catalogue, UnknownModelError
from tritone.languages import NAMES, code_of

CATALOGUE = Catalogue.load()


def ids(tts: list[str], stt: list[str]) -> list[str]:
    return [model.id for model in CATALOGUE.choose(tts, stt)]


def test_without_settings_a_machine_without_gpu_speaks_and_listens() -> None:
    assert ids([], []) == ["kokoro-82m", "whisper-base"]


def test_models_are_chosen_by_short_name_and_by_id() -> None:
    assert ids(["kokoro"], ["whisper-base"]) == ["kokoro-82m", "whisper-base"]


def test_none_chooses_no_model_of_that_kind() -> None:
    assert ids(["none"], ["base"]) == ["whisper-base"]


def test_an_unknown_name_is_refused_with_the_setting_and_the_choice() -> None:
    with pytest.raises(UnknownModelError, match=r"STT_MODELS: 'whisper-bse' is unknown; choose from .*whisper-base"):
        ids([], ["whisper-bse"])


def test_a_transcription_model_is_not_chosen_as_a_voice() -> None:
    with pytest.raises(UnknownModelError, match="TTS_MODES"):
        ids(["whisper-base"], [])


def test_aliases_reach_the_chosen_model() -> None:
    chosen = CATALOGUE.choose([], [])
    assert CATALOGUE.resolve("tts-1", chosen).id == "kokoro-82m"
    assert CATALOGUE.resolve("whisper-1", chosen).id == "whisper-base"


def test_a_model_that_is_not_chosen_is_unknown_and_the_answer_lists_those_that_are() -> None:
    chosen = CATALOGUE.choose(["none"], [])
    with pytest.raises(UnknownModelError, match="there are: whisper-base, whisper-1"):
        CATALOGUE.resolve("kokoro-82m", chosen)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("en", "en"),
        ("English", "en"),
        ("pt-BR", "pt"),
        ("zh_CN", "zh"),
        ("Mandarin", "zh"),
        (" KO ", "ko"),
        ("xx", None),
    ],
)
def test_a_language_is_known_by_code_tag_and_name(language: str, code: str | None) -> None:
    assert code_of(language) == code


def test_every_language_is_known_by_its_own_name() -> None:
    assert [code_of(name) for name in NAMES.values()] == list(NAMES)
