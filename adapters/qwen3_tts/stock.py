"""The package's model, with what a server needs of it: text that is only text, and a way to stop."""

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

SAMPLES_PER_FRAME = 1920
"""80 ms at 24 kHz."""

_ASSISTANT = "<|im_start|>assistant\n"
_USER = "<|im_start|>user\n"
_END = "<|im_end|>\n"


@dataclass(frozen=True)
class Turn:
    """A piece of the prompt: a caller's text between marks that are ours."""

    before: str
    text: str
    after: str


class StockModel(Qwen3TTSModel):  # type: ignore[misc]
    """A loaded checkpoint. Not thread-safe: the talker keeps the batch's state on itself."""

    def __init__(self, model: Any, processor: Any, generate_defaults: dict[str, Any] | None = None) -> None:
        super().__init__(model, processor, generate_defaults)
        self.watch: Watch | None = None
        """Looks on while codes are made, and ends them."""
        self._plain = _without_added_tokens(processor.tokenizer.backend_tokenizer)
        self._make_codes = model.talker.generate
        model.talker.generate = self._generate
        _lower_speakers(model)

    @classmethod
    def load(cls, checkpoint: Checkpoint, runtime: Runtime) -> StockModel:
        """Load the weights; raises what the package raises."""
        transformers_logging.set_verbosity_error()
        model: StockModel = cls.from_pretrained(
            str(checkpoint.folder),
            device_map=runtime.device,
            dtype=getattr(torch, runtime.dtype),
            attn_implementation=runtime.attention,
        )
        return model

    @property
    def end_token(self) -> int:
        """The codec token that ends an utterance."""
        return int(self.model.config.talker_config.codec_eos_token_id)

    @property
    def max_new_tokens(self) -> int:
        """The checkpoint's own limit."""
        return int(self.generate_defaults.get("max_new_tokens", 2048))

    def count_tokens(self, text: str) -> int:
        """How many tokens `text` comes to; may be called from any thread."""
        return len(self._plain.encode(text).ids)

    # The package builds a turn as one string, in which a caller's `<|im_end|>` would end it. These four keep the
    # caller's part apart until it is tokens, from a tokenizer to which such a mark is letters like any others.

    def _build_assistant_text(self, text: str) -> Turn:
        return Turn(_ASSISTANT, text, f"{_END}{_ASSISTANT}")

    def _build_ref_text(self, text: str) -> Turn:
        return Turn(_ASSISTANT, text, _END)

    def _build_instruct_text(self, instruct: str) -> Turn:
        return Turn(_USER, instruct, _END)

    def _tokenize_texts(self, texts: list[Turn]) -> list[torch.Tensor]:
        ours = self.processor.tokenizer.encode
        return [
            torch.tensor(
                [[*ours(turn.before), *self._plain.encode(turn.text).ids, *ours(turn.after)]], device=self.device
            )
            for turn in texts
        ]

    def _generate(self, **arguments: Any) -> Any:
        criteria = StoppingCriteriaList([self.watch] if self.watch else [])
        return self._make_codes(**arguments, stopping_criteria=criteria, pad_token_id=self.end_token)


class Watch(StoppingCriteria):  # type: ignore[misc]
    """Ends each row of a batch at its own limit, or when its caller has gone, and knows how each one ended."""

    def __init__(self, end_token: int, limits: Sequence[int], gone: Callable[[], Sequence[bool]]) -> None:
        """`limits`: codec tokens a row; `gone` is asked after every frame, and may raise to end the whole batch."""
        self.tokens = [0] * len(limits)
        """The tokens of each row, the one that ended it among them; a row has one frame less."""
        self.was_cut = [False] * len(limits)
        """Whether it reached its limit before its end."""
        self._end_token = end_token
        self._limits = limits
        self._gone = gone
        self._open = [True] * len(limits)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """After each token of the batch, `input_ids` (rows, tokens so far): which rows have ended."""
        latest = input_ids[:, -1].tolist()
        gone = self._gone()
        for row, token in enumerate(latest):
            if self._open[row]:
                self.tokens[row] += 1
                self.was_cut[row] = token != self._end_token and self.tokens[row] >= self._limits[row]
                self._open[row] = not (token == self._end_token or self.was_cut[row] or gone[row])
        return torch.tensor([not is_open for is_open in self._open], device=input_ids.device)


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """The same words and merges, and no token that a text could spell out to be more than text."""
    parts = json.loads(tokenizer.to_str())
    return Tokenizer.from_str(json.dumps({**parts, "added_tokens": [], "post_processor": None}))


def _lower_speakers(model: Any) -> None:
    """Speakers in lower case, as the package looks them up; a fine-tuned one may be written in any."""
    talker = model.config.talker_config
    for name in ("spk_id", "spk_is_dialect"):
        if table := getattr(talker, name):
            setattr(talker, name, {speaker.lower(): value for speaker, value in table.items()})
    model.supported_speakers = (talker.spk_id or {}).keys()
