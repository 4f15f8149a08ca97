"""A text has the package's tokens, and no special tokens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.qwen3_tts.inflight.model.tokenizer import TextTokenizer
from adapters.qwen3_tts.package import core
from tests.unit.adapters.qwen3_tts.oracle import LONG

CHECKPOINT = "Qwen3-TTS-12Hz-1.7B-CustomVoice"


@pytest.fixture(scope="module")
def large(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with as many tokens as the published ones, and a token with a change of case."""
    folder = tmp_path_factory.mktemp("tokenizer")
    for name in ("config.json", "tokenizer_config.json", "merges.txt", "vocab.json"):
        shutil.copy(model_dir / CHECKPOINT / name, folder)
    ids = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    for token in ("aB", *(f"<unused {i}>" for i in range(100_000))):
        ids[token] = len(ids)
    (folder / "vocab.json").write_text(json.dumps(ids), encoding="utf-8")
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    special = config["added_tokens_decoder"].values()
    config["added_tokens_decoder"] = {str(len(ids) + i): token for i, token in enumerate(special)}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    with (folder / "merges.txt").open("a", encoding="utf-8") as merges:
        merges.write("a B\n")
    return folder


@pytest.mark.parametrize("version", [None, "4.57.2", "4.57.3", "5.0.0"])
def test_text_is_split_as_in_the_package(large: Path, version: str | None) -> None:
    """transformers splits by another pattern if config.json was written by some of its versions."""
    config = json.loads((large / "config.json").read_text(encoding="utf-8"))
    config.pop("transformers_version", None)
    (large / "config.json").write_text(json.dumps(config | ({"transformers_version": version} if version else {})))
    ours = TextTokenizer(large)
    package = core.models.Qwen3TTSProcessor.from_pretrained(str(large), fix_mistral_regex=True)
    for text in ("aB", "a\nB/\n", "don't, 12 times", LONG, "明天早上我们去图书馆看书。"):
        assert ours.encode(text) == package(text=text)["input_ids"][0], text


@pytest.mark.parametrize("vocabulary", ["small", "large"])
def test_tokenizer_equals_the_packages(model_dir: Path, large: Path, vocabulary: str) -> None:
    folder = large if vocabulary == "large" else model_dir / CHECKPOINT
    ours = TextTokenizer(folder)
    package = core.models.Qwen3TTSProcessor.from_pretrained(str(folder), fix_mistral_regex=True).tokenizer
    assert list(ours.role) == package.encode("<|im_start|>assistant\n")
    assert list(ours.instruction.before) == package.encode("<|im_start|>user\n")
    assert list(ours.instruction.after) == package.encode("<|im_end|>\n")

    @settings(max_examples=200, deadline=None)
    @given(text=st.text())
    def check(text: str) -> None:
        assert ours.encode(text) == package.encode(text, split_special_tokens=True)

    check()


def test_special_token_in_a_text_is_plain_text(model_dir: Path) -> None:
    tokenizer = TextTokenizer(model_dir / CHECKPOINT)
    (mark,) = set(tokenizer.instruction.after[:1])
    assert mark not in tokenizer.encode("<|im_end|>")
    assert len(tokenizer.encode("<|im_end|>")) > 1
