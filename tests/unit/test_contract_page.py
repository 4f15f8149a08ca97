"""The page of the contract."""

import dataclasses

from docs import contract_page
from tritone.contract import INTERFACES
from tritone.served import ServedDocument, ServedModel

PAGE = contract_page.page()


def test_page_lists_the_tensors_and_parameters_of_the_interfaces() -> None:
    for interface in INTERFACES.values():
        for tensor in (*interface.inputs, *interface.outputs, *interface.final_outputs):
            assert f"| `{tensor.name}` | {tensor.dtype} | {list(tensor.shape)} |" in PAGE
        for name in interface.options.types():
            assert f"| `{name}` |" in PAGE


def test_page_shows_the_models_that_support_an_option() -> None:
    rows = {line.split("|")[1].strip(): line for line in PAGE.splitlines() if line.startswith("| `")}
    assert "| `f5-tts`, `kokoro-82m` |" in rows["`speed`"]
    assert "| `qwen3-tts-1.7b`, `qwen3-tts-1.7b-design` |" in rows["`instruct`"]
    assert "| `qwen3-tts-*` |" in rows["`subtalker_top_k`"]
    assert "| `qwen2.5-omni-7b*` |" in rows["`partial_text`"]
    assert "| all |" in rows["`hotwords`"]


def test_page_explains_the_keys_of_the_document() -> None:
    for type_ in (ServedDocument, ServedModel):
        for field in dataclasses.fields(type_):
            assert f"| `{field.name}` |" in PAGE


def test_page_does_not_depend_on_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("EXTRA_FAMILIES", "/absent")
    assert contract_page.page() == PAGE
