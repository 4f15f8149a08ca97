"""Families as their `family.toml` describes them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.unit.tritone.conftest import WriteFamily
from tritone.contract import SpeechOptions, TranscriptionOptions
from tritone.families import (
    BUILT_IN,
    FILE,
    ROOT,
    Family,
    FamilyFileError,
    Model,
    SlotEngine,
    SlotMemory,
    Variant,
    load_all,
)
from tritone.settings import Setting, UnusableSettingError

SMALL = """\
    [family]
    kind = "speech"
    mode = "voice"
    environment = "example"
    owner = "someone"

    [models.example-1]
    """


def only_model(family: Family) -> Model:
    (model,) = family.models.values()
    return model


def test_model_gets_its_defaults_from_the_family_table_and_its_folder(write_family: WriteFamily) -> None:
    folder = write_family(SMALL)
    family = Family.load(folder)
    assert (family.name, family.folder, family.settings, family.variants) == ("example", folder, {}, {})
    assert only_model(family) == Model(
        id="example-1",
        family="example",
        kind="speech",
        mode="voice",
        interface="speech",
        adapter=folder / "model.py",
        environment="example",
        owner="someone",
        weights="example-1",
    )


def test_key_of_a_model_wins_over_the_family_table(write_family: WriteFamily) -> None:
    family = Family.load(write_family(SMALL + 'owner = "else"\nadapter = "other.py"\nweights = ""\n'))
    model = only_model(family)
    assert (model.owner, model.adapter.name, model.weights) == ("else", "other.py", "")


@pytest.mark.parametrize(
    ("mode", "interface"),
    [("voice", "speech"), ("custom_voice", "speech"), ("voice_design", "speech"), ("voice_clone", "voice_clone")],
)
def test_interface_of_a_speech_model_follows_its_mode(write_family: WriteFamily, mode: str, interface: str) -> None:
    model = only_model(Family.load(write_family(SMALL.replace('"voice"', f'"{mode}"'))))
    assert (model.mode, model.interface) == (mode, interface)


def test_transcription_model_needs_no_mode(write_family: WriteFamily) -> None:
    text = SMALL.replace('"speech"', '"transcription"').replace('mode = "voice"', "")
    model = only_model(Family.load(write_family(text)))
    assert (model.mode, model.interface) == ("transcribe", "transcription")


def test_group_stands_for_all_options_that_the_contract_declares_in_it(write_family: WriteFamily) -> None:
    model = only_model(Family.load(write_family(SMALL + 'options = ["voice", "sampling"]\n')))
    assert model.options == ("voice", *SpeechOptions.groups()["sampling"])


def test_lists_become_tuples_and_tables_dataclasses(write_family: WriteFamily) -> None:
    family = Family.load(
        write_family(
            SMALL
            + """\
    names = ["ex"]
    gpu_memory = 2
    gpu_capability = [7, 5]
    voice_aliases = { alloy = "anna" }

    [models.example-1.slot_memory]
    parameters = 1000
    float32_parameters = 50
    numbers_per_position = 8
    numbers_per_slot = 9
    fixed_gb = 1.5

    [slot_engine]
    enabled_by = { EXAMPLE_ENGINE = "slots" }
    slots = "EXAMPLE_SLOTS"
    least_slots = 1
    most_slots = 4
    positions = "EXAMPLE_POSITIONS"
    position_choices = [64, 32]
    precision = "EXAMPLE_PRECISION"
    bytes_per_number = { "" = 2 }

    [variants.small]
    setting = "EXAMPLE_TYPE"
    values = { tiny = [8, 0], compact = [0, 0] }

    [settings.EXAMPLE_SLOTS]
    default = 4
    description = "Streams at once."
    """
        )
    )
    model = only_model(family)
    assert (model.names, model.gpu_memory, model.gpu_capability) == (("ex",), 2, (7, 5))
    assert model.voice_aliases == {"alloy": "anna"}
    assert model.slot_memory == SlotMemory(1000, 50, 8, 9, 1.5)
    assert family.slot_engine == SlotEngine(
        {"EXAMPLE_ENGINE": "slots"},
        "EXAMPLE_SLOTS",
        1,
        4,
        "EXAMPLE_POSITIONS",
        (64, 32),
        "EXAMPLE_PRECISION",
        {"": 2},
    )
    assert family.variants == {"small": Variant("EXAMPLE_TYPE", {"tiny": (8, 0), "compact": (0, 0)})}
    assert family.settings == {"EXAMPLE_SLOTS": Setting("EXAMPLE_SLOTS", 4, "Streams at once.")}


def test_variant_takes_the_first_value_that_the_gpu_supports() -> None:
    variant = Variant("EXAMPLE_TYPE", {"tiny": (8, 0), "compact": (0, 0)})
    assert variant.value_for((9, 0)) == "tiny"
    assert variant.value_for((7, 5)) == "compact"


def test_settings_are_read_with_their_type() -> None:
    qwen = Family.load(BUILT_IN / "qwen3_tts")
    assert qwen.integer("QWEN_QUEUE").read({"QWEN_QUEUE": "3"}) == 3
    assert qwen.text("DEFAULT_SPEAKER").read({}) == "Vivian"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[family\n", r"Expected .*line 1"),
        ("", r"it has no table \[models\.ID\]"),
        ("models = 3", "models must be a table"),
        ("[models]\na = 3", "a must be a table"),
        (SMALL + "voices = 3", r"models\.example-1: unknown key 'voices'; choose from kind, mode, .*voice_aliases"),
        (SMALL + 'id = "other"', r"models\.example-1: unknown key 'id'"),
        (SMALL + "weights = 3", r"models\.example-1: weights must be text, not 3"),
        (SMALL + 'gpu_memory = "2 GB"', r"models\.example-1: gpu_memory must be a number, not '2 GB'"),
        (SMALL + "max_batch_size = 1.5", r"models\.example-1: max_batch_size must be a whole number, not 1\.5"),
        (SMALL + 'names = "ex"', r"models\.example-1: names must be a list, not 'ex'"),
        (SMALL + "voice_aliases = []", r"models\.example-1: voice_aliases must be a table"),
        (SMALL.replace('owner = "someone"', ""), r"models\.example-1: owner is missing"),
        (
            SMALL.replace('kind = "speech"', ""),
            r"models\.example-1: kind is missing; choose from speech, transcription",
        ),
        (SMALL.replace('"speech"', '"music"'), r"models\.example-1: kind 'music' is unknown; choose from speech, "),
        (SMALL.replace('mode = "voice"', ""), r"models\.example-1: mode is missing; choose from voice, custom_voice"),
        (
            SMALL.replace('"voice"', '"transcribe"'),
            r"models\.example-1: mode 'transcribe' is unknown; choose from voice",
        ),
        (
            SMALL + 'interface = "rest"',
            r"models\.example-1: interface 'rest' is unknown; choose from speech, voice_clone",
        ),
        (
            SMALL.replace('"speech"', '"companion"').replace('mode = "voice"', ""),
            r"models\.example-1: interface is missing; choose from .*server",
        ),
        (SMALL + 'options = ["pitch"]', r"models\.example-1: option 'pitch' is not in the contract"),
        (SMALL + "slot_memory = { parameters = 1 }", r"models\.example-1\.slot_memory: float32_parameters is missing"),
        ('[models.a]\n[settings.B]\ndefault = ""', r"models\.a: kind is missing"),
        (SMALL + '[settings.B]\ndefault = ""', r"settings\.B: description is missing"),
        (SMALL + '[settings.B]\nname = "C"', r"settings\.B: unknown key 'name'"),
        (SMALL + '[variants.small]\nsetting = "B"\nvalues = 3', "values must be a table"),
        (SMALL + '[slot_engine]\nslots = "B"', "slot_engine: enabled_by is missing"),
        (SMALL + '[conversion]\nsource = "B"', "conversion: target is missing"),
    ],
)
def test_malformed_file_is_reported_with_its_path_table_and_key(
    write_family: WriteFamily, text: str, problem: str
) -> None:
    folder = write_family(text)
    with pytest.raises(FamilyFileError, match=f"^{re.escape(str(folder / FILE))}: {problem}"):
        Family.load(folder)


def test_missing_file_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(FamilyFileError, match=r"family\.toml cannot be read: No such file"):
        Family.load(tmp_path)


def test_built_in_families_are_loaded_by_name() -> None:
    names = [family.name for family in load_all({})]
    assert names == sorted(names)
    assert {"companions", "kokoro", "qwen3_tts", "whisper"} <= set(names)


def test_extra_families_come_after_the_built_in_ones(write_family: WriteFamily) -> None:
    folders = [write_family(SMALL, "zeta"), write_family(SMALL.replace("example-1", "example-2"), "alpha")]
    loaded = load_all({"EXTRA_FAMILIES": ", ".join(map(str, folders))})
    assert [family.folder for family in loaded[-2:]] == folders
    assert len(loaded) == len(load_all({})) + 2


def test_extra_family_may_be_relative_to_the_clone() -> None:
    (extra,) = load_all({"EXTRA_FAMILIES": "adapters/kokoro"})[len(load_all({})) :]
    assert extra.folder == ROOT / "adapters" / "kokoro"


def test_extra_family_without_a_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(FamilyFileError, match=re.escape(f"{tmp_path / 'absent' / FILE} cannot be read")):
        load_all({"EXTRA_FAMILIES": str(tmp_path / "absent")})


def test_modules_of_a_family_are_imported_from_the_clone_or_from_the_folder_above(write_family: WriteFamily) -> None:
    built_in, extra = Family.load(BUILT_IN / "kokoro"), Family.load(write_family(SMALL))
    assert (built_in.import_root, built_in.module("model")) == (ROOT, "adapters.kokoro.model")
    assert (extra.import_root, extra.module("model")) == (extra.folder.parent, "example.model")


@pytest.mark.parametrize("family", load_all({}), ids=lambda family: family.name)
def test_built_in_family_refers_only_to_known_options_variants_and_settings(family: Family) -> None:
    for model in family.models.values():
        assert model.summary, model.id
        assert model.adapter.is_file()
        declared = SpeechOptions if model.kind == "speech" else TranscriptionOptions
        assert set(model.options) <= {f.name for f in dataclasses.fields(declared)}
        assert set(model.variant_memory) <= set(family.variants)
        assert model.gpu_memory >= 0
        if model.slot_memory and model.slot_memory.cache_setting:
            assert model.slot_memory.cache_setting in family.settings
    for variant in family.variants.values():
        assert set(variant.values) <= set(family.settings[variant.setting].choices)
        assert variant.value_for((0, 0)) in variant.values
    if engine := family.slot_engine:
        named = {*engine.enabled_by, engine.slots, engine.positions, engine.precision}
        assert named <= set(family.settings)
        for setting, value in engine.enabled_by.items():
            assert value in family.settings[setting].choices


@pytest.mark.parametrize("family", load_all({}), ids=lambda family: family.name)
def test_default_of_a_setting_is_one_of_its_values(family: Family) -> None:
    for setting in family.settings.values():
        assert setting.description.endswith("."), setting.name
        if isinstance(setting.default, int):
            assert setting.read({setting.name: str(setting.default)}) == setting.default
        elif setting.choices:
            assert setting.default in ("", *setting.choices)
            assert set(setting.gpu_only) <= set(setting.choices)
            with pytest.raises(UnusableSettingError):
                setting.read({setting.name: "unheard-of"})
