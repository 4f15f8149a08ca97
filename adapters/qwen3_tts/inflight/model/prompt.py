"""The talker's prompt: from text, language, speaker and reference to embeddings.

```
[instruction] role  tags + speaker  text...                          trailing text, one row a frame
```
Every row after the role is the sum of a row of text and a row of codes. A pad stands in for either of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.inflight.cuda_streams import device_tensor, hold_for_stream, synchronize_stream
from adapters.qwen3_tts.inflight.model.prompt_prefix import PromptPrefix, ReferenceRows, SharedPrompt
from adapters.qwen3_tts.inflight.model.tokenizer import TextTokenizer
from adapters.qwen3_tts.inflight.model.weights import Weights


class VoicePrompt(Protocol):
    """The voice to clone, as far as the prompt needs it."""

    @property
    def x_vector(self) -> Tensor:
        """The speaker embedding, (hidden,)."""

    @property
    def codes(self) -> Tensor | None:
        """The reference's codes (frames, 16); None: clone from the speaker embedding alone."""

    @property
    def text(self) -> str:
        """The words of the reference; empty where `codes` is None."""

    @property
    def shared(self) -> SharedPrompt:
        """The beginning that all prompts of the voice share."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """The talker's input."""

    embeddings: Tensor
    """The embeddings to prefill, (tokens, hidden)."""
    trailing: Tensor
    """Text embeddings to add to the frames, one row each, (rows, hidden). The last row, a pad, is added to all later
    frames."""
    prefix: PromptPrefix | None = None
    """The beginning that it shares with the voice's other prompts."""


class PromptBuilder:
    """Builds the prompts of one checkpoint. Thread-safe."""

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
            self._code_pad, self._code_bos = (
                self._of_codes([self._codes[f"codec_{name}_id"]]) for name in ("pad", "bos")
            )

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens in `text`."""
        return len(self._tokenizer.encode(text))

    def build(
        self,
        text: str,
        *,
        language: str = "auto",
        speaker: str = "",
        instruct: str = "",
        voice: VoicePrompt | None = None,
        streaming_text: bool = False,
    ) -> Prompt:
        """Build a prompt.

        `language` (or `auto`) and `speaker` are the names in the checkpoint's config, in lower case; raises `KeyError`
        for others, `ValueError` for an empty text. `streaming_text`: only the first part of the text is in the prompt;
        the rest is added to the frames.
        """
        ids = self._tokenizer.encode(text)
        if not ids:
            raise ValueError("the text is empty")
        with torch.inference_mode():
            head = self._head(language, speaker, instruct, voice)
            if voice is None:
                return self._from_text(head, ids, streaming_text)
            if voice.codes is None:
                prompt, shared_rows, layout = self._from_text(head, ids, streaming_text), 0, False
            else:
                rows = self._rows(voice, voice.codes)
                prompt, layout = self._from_reference(head, ids, rows, streaming_text), streaming_text
                shared_rows = min(len(rows.text), len(rows.codes)) if streaming_text else len(rows.text)
            if instruct:  # it comes before the voice
                return prompt
            tokens = min(len(head) + shared_rows, len(prompt.embeddings) - 1)
            return replace(prompt, prefix=voice.shared.prefix(language, streaming_text=layout, tokens=tokens))

    def _rows(self, voice: VoicePrompt, codes: Tensor) -> ReferenceRows:
        """Return the rows of a voice's reference, from the codes (frames, 16)."""
        rows = voice.shared.rows
        if rows is None:
            books = [F.embedding(codes[:, i], table) for i, table in enumerate(self._weights.code_embeddings)]
            rows = ReferenceRows(
                self._of_text(self._tokenizer.encode(voice.text)),
                torch.cat([self._code_bos, torch.stack(books, 1).sum(1)]),
            )
            synchronize_stream(self._weights.device)  # other threads may use them from now on
            voice.shared.rows = rows
        hold_for_stream(rows.text, rows.codes)
        return rows

    def _head(self, language: str, speaker: str, instruct: str, voice: VoicePrompt | None) -> Tensor:
        """Build the part before the text: instruction, role, language tags and voice."""
        instruction = []
        if instruct:
            marks_around = self._tokenizer.instruction
            instruction = [
                self._of_text([*marks_around.before, *self._tokenizer.encode(instruct), *marks_around.after])
            ]
        speaker_row = [] if not speaker else [self._of_codes([self._speakers[speaker]])]
        if voice is not None:
            speaker_row = [voice.x_vector.to(self._role)[None]]
        tags = torch.cat([self._of_codes(self._tags(language, speaker)), *speaker_row, self._code_pad])
        pads = torch.cat([self._text_pad.expand(len(tags) - 1, -1), self._text_begin])
        return torch.cat([*instruction, self._role, pads + tags])

    def _tags(self, language: str, speaker: str) -> list[int]:
        """Return the codes of the language. With `auto` or Chinese, a dialect speaker gets the dialect's."""
        codes = self._codes
        if language in ("auto", "chinese"):
            language = self._dialects.get(speaker, language)
        if language == "auto":
            return [codes["codec_nothink_id"], codes["codec_think_bos_id"], codes["codec_think_eos_id"]]
        language_id = codes["codec_language_id"][language]
        return [codes["codec_think_id"], codes["codec_think_bos_id"], language_id, codes["codec_think_eos_id"]]

    def _from_text(self, head: Tensor, ids: Sequence[int], streaming_text: bool) -> Prompt:
        text = torch.cat([self._of_text(ids), self._text_end])
        if streaming_text:
            return Prompt(torch.cat([head, text[:1] + self._code_bos]), torch.cat([text[1:], self._text_pad]))
        begin = self._text_pad + self._code_bos
        return Prompt(torch.cat([head, text + self._code_pad, begin]), self._text_pad)

    def _from_reference(self, head: Tensor, ids: Sequence[int], rows: ReferenceRows, streaming_text: bool) -> Prompt:
        """Build a prompt that continues the reference's text and codes, as if they had been drawn."""
        text, codes = torch.cat([rows.text, self._of_text(ids), self._text_end]), rows.codes
        if not streaming_text:
            return Prompt(torch.cat([head, text + self._code_pad, codes + self._text_pad]), self._text_pad)
        trailing = torch.cat([text[len(codes) :], self._text_pad])
        text = torch.cat([text[: len(codes)], self._text_pad.expand(max(0, len(codes) - len(text)), -1)])
        return Prompt(torch.cat([head, text + codes]), trailing)

    def _of_text(self, ids: Sequence[int]) -> Tensor:
        """Return the embeddings of text tokens, (tokens, hidden)."""
        first_weight, first_bias, second_weight, second_bias = self._weights.text_projection
        embedded = F.embedding(device_tensor(ids, self._weights.device, torch.int64), self._weights.text_embedding)
        return F.linear(F.silu(F.linear(embedded, first_weight, first_bias)), second_weight, second_bias)

    def _of_codes(self, ids: Sequence[int]) -> Tensor:
        """Return the embeddings of codes of codebook 0, control codes included, (codes, hidden)."""
        return F.embedding(device_tensor(ids, self._weights.device, torch.int64), self._weights.code_embeddings[0])
