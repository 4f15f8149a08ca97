"""Which models are chosen, and what answers to which name."""

import pytest

from tritone.catalogue import Catalogue, UnknownModelError
from tritone.languages import NAMES, candidates_of, code_of

CATALOGUE = Catalogue.load()


def ids(tts: list[str], stt: list[str], model_type: str = "") -> list[str]:
    return [model.id for model in CATALOGUE.choose(tts, stt, model_type=model_type)]


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


@pytest.mark.parametrize(
    ("tts", "model_type", "chosen"),
    [
        ([], "1.7b", ["qwen3-tts-1.7b", "qwen3-tts-1.7b-clone"]),
        ([], "0.6B", ["qwen3-tts-0.6b", "qwen3-tts-0.6b-clone"]),
        ([], "both", ["qwen3-tts-0.6b", "qwen3-tts-1.7b", "qwen3-tts-0.6b-clone", "qwen3-tts-1.7b-clone"]),
        (["custom_voice"], "", ["qwen3-tts-1.7b"]),
        (["custom_voice", "kokoro"], "0.6b", ["kokoro-82m", "qwen3-tts-0.6b"]),
        (["all"], "", ["qwen3-tts-1.7b", "qwen3-tts-1.7b-design", "qwen3-tts-1.7b-clone"]),
        (["qwen3-tts-0.6b"], "1.7b", ["qwen3-tts-0.6b"]),
        (["kokoro"], "1.7b", ["kokoro-82m"]),
    ],
)
def test_modes_are_chosen_in_the_sizes_of_the_model_type(tts: list[str], model_type: str, chosen: list[str]) -> None:
    assert ids(tts, ["none"], model_type) == chosen


def test_a_mode_of_one_size_alone_is_chosen_in_that_size() -> None:
    assert ids(["voice_design"], ["none"], "0.6b") == ["qwen3-tts-1.7b-design"]


def test_an_unknown_model_type_is_refused_with_the_choice() -> None:
    with pytest.raises(UnknownModelError, match=r"MODEL_TYPE: '7b' is unknown; choose from 0\.6b, 1\.7b, both"):
        ids([], [], "7b")


@pytest.mark.parametrize(
    ("alias", "chosen", "answers"),
    [
        ("tts-1", ["qwen3-tts-0.6b", "qwen3-tts-1.7b"], "qwen3-tts-0.6b"),
        ("tts-1", ["qwen3-tts-1.7b"], "qwen3-tts-1.7b"),
        ("tts-1-hd", ["qwen3-tts-0.6b", "qwen3-tts-1.7b"], "qwen3-tts-1.7b"),
        ("tts-1-hd", ["qwen3-tts-0.6b", "kokoro"], "qwen3-tts-0.6b"),
    ],
)
def test_an_alias_takes_the_first_of_its_models_that_is_chosen(alias: str, chosen: list[str], answers: str) -> None:
    assert CATALOGUE.resolve(alias, CATALOGUE.choose(chosen, ["none"])).id == answers


def test_every_target_of_an_alias_is_in_the_catalogue() -> None:
    assert {id_ for targets in CATALOGUE.aliases.values() for id_ in targets} <= set(CATALOGUE.models)


def test_openai_voices_are_speakers_of_the_custom_voice_models() -> None:
    assert CATALOGUE.models["qwen3-tts-1.7b"].voices["alloy"] == "Vivian"
    assert CATALOGUE.models["qwen3-tts-1.7b-design"].voices == {}


def test_weights_lie_in_the_folder_of_the_checkpoint_or_of_the_id() -> None:
    assert CATALOGUE.models["qwen3-tts-0.6b-clone"].folder == "Qwen3-TTS-12Hz-0.6B-Base"
    assert CATALOGUE.models["kokoro-82m"].folder == "kokoro-82m"


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


def test_a_further_model_is_like_another_under_its_own_id() -> None:
    catalogue = CATALOGUE.with_extra({"minsu": "qwen3-tts-1.7b"}, {"minsu": "/data/minsu"})
    minsu, twin = catalogue.models["minsu"], CATALOGUE.models["qwen3-tts-1.7b"]
    assert (minsu.id, minsu.folder, minsu.names) == ("minsu", "/data/minsu", ())
    assert (minsu.mode, minsu.size, minsu.voices, minsu.gpu_memory) == (twin.mode, twin.size, twin.voices, 4.5)
    assert [model.id for model in catalogue.choose(["minsu"], ["none"])] == ["minsu"]
    assert "minsu" not in CATALOGUE.models


@pytest.mark.parametrize(("id_", "twin"), [("qwen3-tts-0.6b", "qwen3-tts-1.7b"), ("tts-1", "kokoro-82m"), ("a", "b")])
def test_a_further_model_needs_a_free_name_and_a_twin(id_: str, twin: str) -> None:
    with pytest.raises(UnknownModelError, match="EXTRA_MODELS"):
        CATALOGUE.with_extra({id_: twin})


def test_every_preference_names_models() -> None:
    for sets in CATALOGUE.preferences.values():
        assert {id_ for chosen in sets for id_ in chosen} <= set(CATALOGUE.models)


def test_the_last_preference_computes_on_the_cpu_but_for_whisper() -> None:
    assert all(CATALOGUE.models[id_].gpu_memory == 0 for id_ in CATALOGUE.preferences["tts"][-1])


@pytest.mark.parametrize(
    ("languages", "codes"),
    [("auto", ()), ("German", ("de",)), ("en, ko", ("en", "ko")), ("pt-BR,pt,klingon", ("pt",)), ("", ())],
)
def test_candidates_are_languages_with_commas_between(languages: str, codes: tuple[str, ...]) -> None:
    assert candidates_of(languages) == codes


def test_every_transcription_model_has_a_companion_for_long_recordings() -> None:
    models = Catalogue.load().models
    assert models["kokoro-82m"].served == ("kokoro-82m",)
    assert models["whisper-large-v3"].served == ("whisper-large-v3", "whisper-large-v3-long")
