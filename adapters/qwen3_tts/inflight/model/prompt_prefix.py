"""The parts of a cloned voice's prompts that no text changes: they are computed once for all requests.

The published prompt adds the text to the reference's codes row by row, so only the rows up to the last word of the
reference's text are the same for every text:

```
speaker embedding        role  tags + speaker |  text
reference, text by frame role  tags + speaker    words of the reference + its first codes |  text + its other codes
reference, whole text    role  tags + speaker    words of the reference |  text  codes of the reference
```
Rows before the bar are the prefix. Its keys and values are kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from torch import Tensor

_MOST: Final = 4
"""Prefixes of one voice: languages and layouts that are in use at the same time."""


@dataclass(eq=False)
class PromptPrefix:
    """The beginning of a prompt. Only the stepping thread sets and reads its keys and values."""

    tokens: int
    """Fewer than the prompt has: its last token must be computed for each stream."""
    keys_values: Tensor | None = None
    """(layers, tokens, 2 * key_value_heads, head_dim); None until a stream has prefilled them."""


@dataclass(frozen=True, eq=False)
class ReferenceRows:
    """The embeddings of a reference, each (tokens, hidden)."""

    text: Tensor
    """The embeddings of its words."""
    codes: Tensor
    """The embeddings of the begin mark and of its frames, each the sum of 16 books."""


class SharedPrompt:
    """The beginning that all prompts of one voice share. Thread-safe."""

    def __init__(self) -> None:
        self.rows: ReferenceRows | None = None
        """None until a prompt has computed them; always where the voice has no codes."""
        self._prefixes: OrderedDict[tuple[str, bool], PromptPrefix] = OrderedDict()
        """Language and layout -> the prefix; the least recently used comes first."""
        self._lock = threading.Lock()

    def prefix(self, language: str, *, streaming_text: bool, tokens: int) -> PromptPrefix:
        """Return the prefix of a language's prompts, whose length is `tokens`."""
        with self._lock:
            prefix = self._prefixes.setdefault((language, streaming_text), PromptPrefix(tokens))
            self._prefixes.move_to_end((language, streaming_text))
            if len(self._prefixes) > _MOST:
                self._prefixes.popitem(last=False)
        assert prefix.tokens == tokens, "a prefix depends on nothing else"
        return prefix

    def drop_prefixes(self) -> None:
        """Free the keys and values, except those that a stream still has to read."""
        with self._lock:
            self._prefixes.clear()

    @property
    def nbytes(self) -> int:
        """The memory of the tensors."""
        with self._lock:
            tensors = [prefix.keys_values for prefix in self._prefixes.values()]
        if self.rows:
            tensors += [self.rows.text, self.rows.codes]
        return sum(int(tensor.nbytes) for tensor in tensors if tensor is not None)
