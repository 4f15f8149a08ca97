"""The models of all families, and the choice among them."""

from pathlib import Path

import pytest

from tests.unit.tritone.conftest import WriteFamily
from tritone.catalogue import Catalogue, UnknownModelError
from tritone.families import FamilyFileError

CATALOGUE = Catalogue.load({})


def ids(tts: list[str], stt: list[str], model_type: str = "") -> list[str]:
    return [model.id for model in CATALOGUE.choose(tts, stt, model_type=model_type)]


def test_empty_settings_choose_the_defaults_of_a_cpu() -> None:
    assert ids([], []) == ["kokoro-82m", "whisper-base"]


def test_models_are_chosen_by_short_name_and_by_id() -> None:
    assert ids(["kokoro"], ["whisper-base"]) == ["kokoro-82m", "whisper-base"]


def test_names_are_accepted_in_any_case() -> None:
    assert ids(["Kokoro"], ["Whisper-Base", "SMALL"]) == ["kokoro-82m", "whisper-base", "whisper-small"]


def test_none_chooses_no_model_of_its_kind() -> None:
    assert ids(["none"], ["base"]) == ["whisper-base"]


def test_unknown_name_is_rejected_with_the_setting_and_the_choices() -> None:
    with pytest.raises(UnknownModelError, match=r"STT_MODELS: 'whisper-bse' is unknown; choose from .*whisper-base"):
        ids([], ["whisper-bse"])


def test_transcription_model_is_rejected_as_a_speech_model() -> None:
    with pytest.raises(UnknownModelError, match="TTS_MODES"):
        ids(["whisper-base"], [])


def test_companion_cannot_be_chosen() -> None:
    with pytest.raises(UnknownModelError, match="STT_MODELS: 'transcription-long' is unknown"):
        ids([], ["transcription-long"])


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
def test_modes_are_chosen_in_the_sizes_of_model_type(tts: list[str], model_type: str, chosen: list[str]) -> None:
    assert ids(tts, ["none"], model_type) == chosen


def test_mode_with_one_size_is_chosen_in_that_size() -> None:
    assert ids(["voice_design"], ["none"], "0.6b") == ["qwen3-tts-1.7b-design"]


def test_unknown_model_type_is_rejected_with_the_choices() -> None:
    with pytest.raises(UnknownModelError, match=r"MODEL_TYPE: '7b' is unknown; choose from 0\.6b, 1\.7b, both"):
        ids([], [], "7b")


@pytest.mark.parametrize(
    ("id_", "alias", "rank"),
    [
        ("qwen3-tts-0.6b", "tts-1", 0),
        ("qwen3-tts-1.7b", "tts-1", 1),
        ("kokoro-82m", "tts-1", 2),
        ("qwen3-tts-1.7b", "tts-1-hd", 0),
        ("whisper-base", "whisper-1", 3),
    ],
)
def test_rank_of_a_model_is_its_place_among_the_models_of_an_alias(id_: str, alias: str, rank: int) -> None:
    assert CATALOGUE.ranks(id_)[alias] == rank


def test_model_outside_the_preferences_has_only_its_own_aliases() -> None:
    assert CATALOGUE.ranks("qwen3-tts-1.7b-design") == {"Qwen/Qwen3-TTS-12Hz-1.7B-VoiceDesign": 0}


def test_targets_of_aliases_are_models() -> None:
    assert {id_ for targets in CATALOGUE.aliases.values() for id_ in targets} <= set(CATALOGUE.models)


def test_alias_is_not_the_name_of_a_model() -> None:
    assert not set(CATALOGUE.aliases) & set(CATALOGUE.models)


def test_openai_voices_are_speakers_of_the_custom_voice_models() -> None:
    assert CATALOGUE.models["qwen3-tts-1.7b"].voice_aliases["alloy"] == "Vivian"
    assert CATALOGUE.models["qwen3-tts-1.7b-design"].voice_aliases == {}


def test_weights_are_in_the_folder_of_the_checkpoint_or_of_the_id() -> None:
    assert CATALOGUE.models["qwen3-tts-0.6b-clone"].weights == "Qwen3-TTS-12Hz-0.6B-Base"
    assert CATALOGUE.models["kokoro-82m"].weights == "kokoro-82m"


def test_models_that_support_an_option_are_listed_in_the_order_of_the_catalogue() -> None:
    assert CATALOGUE.supporting("instruct") == ["qwen3-tts-1.7b", "qwen3-tts-1.7b-design"]
    assert CATALOGUE.supporting("speed") == ["f5-tts", "kokoro-82m"]
    assert CATALOGUE.supporting("pitch") == []


@pytest.mark.parametrize(
    ("tts", "stt", "companions"),
    [
        ("kokoro", "none", ["tritone"]),
        ("none", "base", ["tritone", "transcription-long"]),
        ("kokoro", "base", ["tritone", "transcription-long"]),
        ("none", "none", ["tritone"]),
    ],
)
def test_companions_are_loaded_with_the_kind_of_model_that_needs_them(
    tts: str, stt: str, companions: list[str]
) -> None:
    assert [model.id for model in CATALOGUE.companions_of(CATALOGUE.choose([tts], [stt]))] == companions


def test_settings_of_all_families_are_together() -> None:
    assert {"QWEN_ENGINE", "KOKORO_MAX_REQUESTS", "WHISPER_COMPUTE_TYPE"} <= set(CATALOGUE.settings)


def test_preferences_name_models() -> None:
    for sets in CATALOGUE.preferences.values():
        assert {id_ for chosen in sets for id_ in chosen} <= set(CATALOGUE.models)


def test_last_preference_for_speech_runs_on_the_cpu() -> None:
    assert all(CATALOGUE.models[id_].gpu_memory == 0 for id_ in CATALOGUE.preferences["tts"][-1])


def test_extra_model_is_like_its_template_under_its_own_id() -> None:
    catalogue = CATALOGUE.with_extra({"minsu": "qwen3-tts-1.7b"}, {"minsu": "/data/minsu"})
    minsu, template = catalogue.models["minsu"], CATALOGUE.models["qwen3-tts-1.7b"]
    assert (minsu.id, minsu.weights, minsu.names, minsu.path_settings) == ("minsu", "/data/minsu", (), ())
    for name in ("family", "adapter", "mode", "size", "options", "voice_aliases", "gpu_memory", "slot_memory"):
        assert getattr(minsu, name) == getattr(template, name)
    assert [model.id for model in catalogue.choose(["minsu"], ["none"])] == ["minsu"]
    assert "minsu" not in CATALOGUE.models


def test_extra_model_without_a_checkpoint_has_its_weights_in_the_folder_of_its_id() -> None:
    assert CATALOGUE.with_extra({"minsu": "qwen3-tts-1.7b"}, {}).models["minsu"].weights == "minsu"


@pytest.mark.parametrize(
    ("id_", "template", "problem"),
    [
        ("qwen3-tts-0.6b", "qwen3-tts-1.7b", "'qwen3-tts-0.6b' is already in use"),
        ("tts-1", "kokoro-82m", "'tts-1' is already in use"),
        ("a", "b", "'a' is like 'b', which is not a model"),
    ],
)
def test_extra_model_needs_a_free_name_and_a_known_template(id_: str, template: str, problem: str) -> None:
    with pytest.raises(UnknownModelError, match=f"EXTRA_MODELS: {problem}"):
        CATALOGUE.with_extra({id_: template}, {})


def test_models_of_an_extra_family_are_in_the_catalogue_and_chosen_by_name(write_family: WriteFamily) -> None:
    folder = write_family(
        """\
        [models.example-1]
        kind = "speech"
        mode = "custom_voice"
        environment = "example"
        owner = "someone"
        names = ["ex"]
        options = ["speed"]

        [settings.EXAMPLE_SPEAKER]
        default = ""
        description = "A voice."
        """
    )
    catalogue = Catalogue.load({"EXTRA_FAMILIES": str(folder)})
    assert [model.id for model in catalogue.choose(["ex"], ["none"])] == ["example-1"]
    assert catalogue.supporting("speed") == ["f5-tts", "kokoro-82m", "example-1"]
    assert catalogue.models["example-1"].adapter == folder / "model.py"
    assert "EXAMPLE_SPEAKER" in catalogue.settings
    assert "example" not in CATALOGUE.families


def test_id_of_two_families_is_rejected_with_both() -> None:
    with pytest.raises(UnknownModelError, match="'kokoro-82m' is a model of two families, kokoro and kokoro"):
        Catalogue.load({"EXTRA_FAMILIES": "adapters/kokoro"})


def test_malformed_extra_family_is_rejected(write_family: WriteFamily) -> None:
    with pytest.raises(FamilyFileError, match="kind is missing"):
        Catalogue.load({"EXTRA_FAMILIES": str(write_family("[models.example-1]"))})


def test_all_transcription_models_are_those_whose_weights_are_fetched() -> None:
    chosen = CATALOGUE.choose(["none"], ["all"])
    assert [model.id for model in chosen] == [
        "whisper-base", "whisper-small", "whisper-large-v3-turbo", "whisper-large-v3",
    ]  # fmt: skip
    assert [model.id for model in CATALOGUE.choose(["none"], ["omni-awq"])] == ["qwen2.5-omni-7b-awq"]


def test_preferences_may_come_from_another_file(tmp_path: Path) -> None:
    file = tmp_path / "preferences.toml"
    file.write_text(
        """\
        [aliases]
        tts-1 = ["kokoro-82m"]
        [all]
        speech = ["voice"]
        transcription = ["transcribe"]
        [model_types]
        "1.7b" = ["1.7b"]
        [defaults.cpu]
        tts = ["none"]
        stt = ["small"]
        [defaults.sized]
        tts = ["custom_voice"]
        [defaults.cuda]
        tts = [["kokoro-82m"]]
        stt = [["whisper-base"]]
        """
    )
    catalogue = Catalogue.load({}, file)
    assert [model.id for model in catalogue.choose([], [])] == ["whisper-small"]
    assert [model.id for model in catalogue.choose(["all"], ["none"])] == ["kokoro-82m"]
    assert catalogue.preferences == {"tts": (("kokoro-82m",),), "stt": (("whisper-base",),)}


@pytest.mark.parametrize(
    ("alias", "id_"),
    [
        ("kokoro", "kokoro-82m"),
        ("Qwen/Qwen3-TTS-12Hz-1.7B-VoiceDesign", "qwen3-tts-1.7b-design"),
        ("Qwen/Qwen3-TTS-12Hz-0.6B-Base", "qwen3-tts-0.6b-clone"),
        ("openai/whisper-large-v3", "whisper-large-v3"),
        ("Systran/faster-whisper-base", "whisper-base"),
        ("base", "whisper-base"),
        ("turbo", "whisper-large-v3-turbo"),
    ],
)
def test_a_model_answers_to_its_ids_on_other_servers(alias: str, id_: str) -> None:
    assert CATALOGUE.aliases[alias] == (id_,)
    assert CATALOGUE.ranks(id_)[alias] == 0


@pytest.mark.parametrize("dated", ["tts-1-1106", "gpt-4o-mini-tts-2025-12-15", "gpt-4o-mini-transcribe-2025-12-15"])
def test_a_dated_id_of_openai_stands_for_the_models_of_the_undated_one(dated: str) -> None:
    undated = {name for name in CATALOGUE.aliases if name != dated and dated.startswith(name)}
    assert CATALOGUE.aliases[dated] == CATALOGUE.aliases[max(undated, key=len)]


def test_an_extra_checkpoint_does_not_answer_to_the_published_ones_ids() -> None:
    extended = CATALOGUE.with_extra({"minsu": "qwen3-tts-1.7b"}, {})
    assert extended.models["minsu"].aliases == ()
    assert extended.ranks("minsu") == {}


def test_kokoro_needs_a_gpu_and_torch_only_if_a_setting_says_so() -> None:
    usual, enabled = (Catalogue.load(environ).models["kokoro-82m"] for environ in ({}, {"KOKORO_ENGINE": "torch"}))
    assert (usual.gpu_memory, usual.environment_on("cuda"), usual.environment_on("cpu")) == (0, "kokoro", "kokoro")
    assert enabled.gpu_memory > 1
    assert (enabled.environment_on("cuda"), enabled.environment_on("cpu")) == ("qwen", "kokoro")
