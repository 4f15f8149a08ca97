"""The package's model with two additions: special tokens in a text stay plain text, and rows can be stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers import logging as transformers_logging

from adapters.qwen3_tts.checkpoint import Checkpoint
from adapters.qwen3_tts.package import Qwen3TTSModel
from adapters.qwen3_tts.runtime import Runtime

_ASSISTANT = "<|im_start|>assistant\n"
_USER = "<|im_start|>user\n"
_END = "<|im_end|>\n"


@dataclass(frozen=True)
class PromptText:
    """A part of the prompt: a client's text between marks of the chat format."""

    before: str
    text: str
    after: str


class PackageModel(Qwen3TTSModel):
    """A loaded checkpoint. Not thread-safe: the talker keeps the batch's state on itself."""

    def __init__(self, model: Any, processor: Any, generate_defaults: dict[str, Any] | None = None) -> None:
        super().__init__(model, processor, generate_defaults)
        self.stopper: RowStopper | None = None
        """Called after each frame; stops the rows."""
        self._plain = _without_added_tokens(processor.tokenizer.backend_tokenizer)
        self._make_codes = model.talker.generate
        model.talker.generate = self._generate
        _lower_speakers(model)

    @classmethod
    def load(cls, checkpoint: Checkpoint, runtime: Runtime) -> PackageModel:
        """Load the weights; raises what the package raises."""
        transformers_logging.set_verbosity_error()
        model: PackageModel = cls.from_pretrained(
            str(checkpoint.folder),
            device_map=runtime.device,
            dtype=getattr(torch, runtime.dtype),
            attn_implementation=runtime.attention,
        )
        return model

    @property
    def end_token(self) -> int:
        """The codec token that ends speech."""
        return int(self.model.config.talker_config.codec_eos_token_id)

    @property
    def max_new_tokens(self) -> int:
        """The checkpoint's own limit of codec tokens."""
        return int(self.generate_defaults.get("max_new_tokens", 2048))

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens in `text`. Any thread may call this."""
        return len(self._plain.encode(text).ids)

    # The package builds each part of the prompt as one string, in which a client's `<|im_end|>` would end that part.
    # These four methods keep the client's text apart and tokenize it without special tokens.

    def _build_assistant_text(self, text: str) -> PromptText:
        return PromptText(_ASSISTANT, text, f"{_END}{_ASSISTANT}")

    def _build_ref_text(self, text: str) -> PromptText:
        return PromptText(_ASSISTANT, text, _END)

    def _build_instruct_text(self, instruct: str) -> PromptText:
        return PromptText(_USER, instruct, _END)

    def _tokenize_texts(self, texts: list[PromptText]) -> list[torch.Tensor]:
        ours = self.processor.tokenizer.encode
        return [
            torch.tensor(
                [[*ours(text.before), *self._plain.encode(text.text).ids, *ours(text.after)]], device=self.device
            )
            for text in texts
        ]

    def _generate(self, **arguments: Any) -> Any:
        criteria = StoppingCriteriaList([self.stopper] if self.stopper else [])
        return self._make_codes(**arguments, stopping_criteria=criteria, pad_token_id=self.end_token)


class RowStopper(StoppingCriteria):
    """Stops each row of a batch at its end token, at its own limit, or when its client cancels."""

    def __init__(self, end_token: int, limits: Sequence[int], cancelled: Callable[[], Sequence[bool]]) -> None:
        """`limits`: codec tokens of each row; `cancelled`: called after every frame, may raise to stop the batch."""
        self.tokens = [0] * len(limits)
        """Tokens of each row, including its last one. A row has one frame less."""
        self.hit_limit = [False] * len(limits)
        """True for each row that reached its limit before its end token."""
        self._end_token = end_token
        self._limits = limits
        self._cancelled = cancelled
        self._open = [True] * len(limits)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Return the rows that have ended, (rows,) bool, given the tokens so far, `input_ids` (rows, tokens)."""
        latest = input_ids[:, -1].tolist()
        cancelled = self._cancelled()
        for row, token in enumerate(latest):
            if self._open[row]:
                self.tokens[row] += 1
                self.hit_limit[row] = token != self._end_token and self.tokens[row] >= self._limits[row]
                self._open[row] = not (token == self._end_token or self.hit_limit[row] or cancelled[row])
        return torch.tensor([not is_open for is_open in self._open], device=input_ids.device)


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """Return a tokenizer with the same vocabulary and merges, but without special tokens."""
    parts = json.loads(tokenizer.to_str())
    return Tokenizer.from_str(json.dumps({**parts, "added_tokens": [], "post_processor": None}))


def _lower_speakers(model: Any) -> None:
    """Convert speaker names to lower case, in which the package looks them up; fine-tuned names may have any case."""
    talker = model.config.talker_config
    for name in ("spk_id", "spk_is_dialect"):
        if table := getattr(talker, name):
            setattr(talker, name, {speaker.lower(): value for speaker, value in table.items()})
    model.supported_speakers = (talker.spk_id or {}).keys()
