"""The talker's input for a clip: the prompt that the server would build, and then the frames.

```
[instruction] role  tags + speaker  text...  bos  frame 0 ... frame F-1      whole text
[instruction] role  tags + speaker  bos + first token  frame 0 + second token ...      streamed text
```
A row is the sum of a text token and a code, either of which may be absent. The hidden state of the bos row gives frame
0, that of the row of frame k gives frame k + 1, and that of the last frame's row gives the end. `PromptBuilder` builds
the same rows for the server; the probe compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finetuning.dataset import Clip, Codes
from finetuning.training.start import Start

NONE = -1
"""Stands for an absent token or code."""


@dataclass(frozen=True)
class Rows:
    """The rows of one clip."""

    text: Sequence[int]
    """The text token of each row, or `NONE`."""
    code: Sequence[int]
    """The code of codebook 0, or the control code, of each row; `NONE` in the role's."""
    first: int
    """The row whose hidden state gives frame 0."""
    codes: Codes
    """The frames (frames, 16)."""

    def __len__(self) -> int:
        return len(self.text)


def rows_of(clip: Clip, codes: Codes, start: Start, *, auto: bool = False, streamed: bool = False) -> Rows:
    """Return the rows of a clip, with or without its language, with the whole text before the frames or streamed."""
    config, talker, tokenizer = start.config, start.talker_config, start.tokenizer
    pad, begin, end = (config[f"tts_{name}_token_id"] for name in ("pad", "bos", "eos"))
    instruct = _instruction(clip.instruct, start)
    tags = [*_tags(clip, start, auto), start.speaker_rows[clip.speaker], talker["codec_pad_id"]]
    text = [*instruct, *tokenizer.role, *[pad] * (len(tags) - 1), begin]
    code = [NONE] * (len(instruct) + len(tokenizer.role)) + tags
    spoken = [*tokenizer.encode(clip.text.strip()), end]
    frames = len(codes)
    if streamed:
        text.append(spoken[0])
        trailing = spoken[1:]
    else:
        text += [*spoken, pad]
        code += [talker["codec_pad_id"]] * len(spoken)
        trailing = []
    code.append(talker["codec_bos_id"])
    first = len(code) - 1
    text += [*trailing, *[pad] * frames][:frames]
    code += codes[:, 0].astype(np.int64).tolist()
    return Rows(text, code, first, codes)


def _instruction(words: str, start: Start) -> list[int]:
    marks = start.tokenizer.instruction
    return [*marks.before, *start.tokenizer.encode(words), *marks.after] if words else []


def _tags(clip: Clip, start: Start, auto: bool) -> list[int]:
    """Return the codes of the language. Speakers of a dialect get the dialect's even with Auto, as from the server."""
    talker = start.talker_config
    language = "auto" if auto else clip.language
    if language in ("auto", "chinese"):
        language = start.dialects.get(clip.speaker, language)
    if language == "auto":
        return [talker[f"codec_{name}_id"] for name in ("nothink", "think_bos", "think_eos")]
    think, begin, end = (talker[f"codec_{name}_id"] for name in ("think", "think_bos", "think_eos"))
    return [think, begin, talker["codec_language_id"][language], end]
