"""What the talker reads before it speaks: from text, language, speaker and reference to embeddings.

```
[instruction] role  tags + speaker  text...                          trailing text, one row a frame
```
Every row after the role is the sum of a row of text and a row of codes; where one of them has nothing to say, a pad.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.qwen3_tts.inflight.tokens import TextTokenizer
from adapters.qwen3_tts.inflight.weights import Weights


class Voice(Protocol):
    """The voice to clone, as the prompt needs it."""

    @property
    def x_vector(self) -> Tensor:
        """Its colour, (hidden,)."""

    @property
    def codes(self) -> Tensor | None:
        """The reference's codes (frames, 16); None: its colour alone is taken."""

    @property
    def text(self) -> str:
        """The words of the reference; empty where `codes` is None."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """The talker's input."""

    embeddings: Tensor
    """What is prefilled, (tokens, hidden)."""
    trailing: Tensor
    """What is added to the frames that follow, one row each, (rows, hidden); the last row, a pad, to all after it."""


class PromptBuilder:
    """Builds the prompts of one checkpoint. May be used from any thread."""

    def __init__(self, weights: Weights) -> None:
        config = weights.config
        self._weights = weights
        self._tokenizer = TextTokenizer(weights.folder)
        self._codes: dict[str, Any] = config["talker_config"]
        self._speakers = {name.lower(): id_ for name, id_ in (self._codes.get("spk_id") or {}).items()}
        dialects = self._codes.get("spk_is_dialect") or {}
        self._dialects = {name.lower(): dialect for name, dialect in dialects.items() if dialect}
        marks = [config["tts_bos_token_id"], config["tts_eos_token_id"], config["tts_pad_token_id"]]
        with torch.inference_mode():
            self._text_begin, self._text_end, self._text_pad = self._of_text(marks).split(1)
            self._role = self._of_text(self._tokenizer.role)

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` comes to."""
        return len(self._tokenizer.encode(text))

    def build(
        self,
        text: str,
        *,
        language: str = "auto",
        speaker: str = "",
        instruct: str = "",
        voice: Voice | None = None,
        streaming_text: bool = False,
    ) -> Prompt:
        """The prompt of an utterance.

        `language` (or `auto`) and `speaker` are in lower case, by the names in the checkpoint's config; raises
        `KeyError` for others, `ValueError` for no text. `streaming_text`: of the text, a first part is in the prompt,
        and the rest is fed while the talker speaks.
        """
        ids = self._tokenizer.encode(text)
        if not ids:
            raise ValueError("there is no text to speak")
        with torch.inference_mode():
            head = self._head(language, speaker, instruct, voice)
            if voice is not None and voice.codes is not None:
                return self._continuing(head, ids, voice.text, voice.codes, streaming_text)
            return self._speaking(head, ids, streaming_text)

    def _head(self, language: str, speaker: str, instruct: str, voice: Voice | None) -> Tensor:
        """Everything before the text: the instruction, the role, how to speak, and who speaks."""
        instruction = []
        if instruct:
            around = self._tokenizer.instruction
            instruction = [self._of_text([*around.before, *self._tokenizer.encode(instruct), *around.after])]
        who = [] if not speaker else [self._of_codes([self._speakers[speaker]])]
        if voice is not None:
            who = [voice.x_vector.to(self._role)[None]]
        tags = torch.cat([self._of_codes(self._tags(language, speaker)), *who, self._code("pad")])
        pads = torch.cat([self._text_pad.expand(len(tags) - 1, -1), self._text_begin])
        return torch.cat([*instruction, self._role, pads + tags])

    def _tags(self, language: str, speaker: str) -> list[int]:
        """The codes that say which language is spoken; a speaker of a dialect speaks that, where Chinese may be."""
        codes = self._codes
        if language in ("auto", "chinese"):
            language = self._dialects.get(speaker, language)
        if language == "auto":
            return [codes["codec_nothink_id"], codes["codec_think_bos_id"], codes["codec_think_eos_id"]]
        spoken = codes["codec_language_id"][language]
        return [codes["codec_think_id"], codes["codec_think_bos_id"], spoken, codes["codec_think_eos_id"]]

    def _speaking(self, head: Tensor, ids: Sequence[int], streaming_text: bool) -> Prompt:
        text = torch.cat([self._of_text(ids), self._text_end])
        if streaming_text:
            return Prompt(torch.cat([head, text[:1] + self._code("bos")]), torch.cat([text[1:], self._text_pad]))
        begin = self._text_pad + self._code("bos")
        return Prompt(torch.cat([head, text + self._code("pad"), begin]), self._text_pad)

    def _continuing(
        self, head: Tensor, ids: Sequence[int], spoken_text: str, spoken: Tensor, streaming_text: bool
    ) -> Prompt:
        """In context: the talker goes on from the reference's text and codes (frames, 16), as if it had spoken them."""
        text = torch.cat([self._of_text([*self._tokenizer.encode(spoken_text), *ids]), self._text_end])
        books = [F.embedding(spoken[:, i], table) for i, table in enumerate(self._weights.code_embeddings)]
        codes = torch.cat([self._code("bos"), torch.stack(books, 1).sum(1)])
        if not streaming_text:
            return Prompt(torch.cat([head, text + self._code("pad"), codes + self._text_pad]), self._text_pad)
        trailing = torch.cat([text[len(codes) :], self._text_pad])
        text = torch.cat([text[: len(codes)], self._text_pad.expand(max(0, len(codes) - len(text)), -1)])
        return Prompt(torch.cat([head, text + codes]), trailing)

    def _of_text(self, ids: Sequence[int]) -> Tensor:
        """Text tokens as the talker sees them, (tokens, hidden)."""
        first_weight, first_bias, second_weight, second_bias = self._weights.text_projection
        embedded = F.embedding(torch.tensor(ids, device=self._weights.device), self._weights.text_embedding)
        return F.linear(F.silu(F.linear(embedded, first_weight, first_bias)), second_weight, second_bias)

    def _of_codes(self, ids: Sequence[int]) -> Tensor:
        """Codes of codebook 0 and its control codes, (codes, hidden)."""
        return F.embedding(torch.tensor(ids, device=self._weights.device), self._weights.code_embeddings[0])

    def _code(self, name: str) -> Tensor:
        """One of the control codes `pad` and `bos`, (1, hidden)."""
        return self._of_codes([self._codes[f"codec_{name}_id"]])
