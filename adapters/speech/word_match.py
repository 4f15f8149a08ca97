"""Find the written words that spoken words stand for: `$5` is spoken as `five dollars`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from adapters.speech.edits import places
from tritone.written_words import letters_of


def match_words(written: Sequence[str], spoken: Sequence[str]) -> list[tuple[int, int] | None]:
    """Return the range [first, last) of the spoken words of each written word; None for a word that is not spoken.

    Each written word has a letter or a digit, as those of `tritone.written_words` have.
    The ranges are in order and do not overlap; together they hold every spoken word, if any word is written. Between
    words that are the same in both, several words share the spoken ones in proportion to their letters.
    """
    numbers: dict[str, int] = {}
    one, other = [[numbers.setdefault(letters_of(word), len(numbers)) for word in words] for words in (written, spoken)]
    # Backwards: where several words could be the same one, the first is.
    found = [None if j is None else len(other) - 1 - j for j in places(one[::-1], other[::-1])][::-1]
    same = [(i, j) for i, j in enumerate(found) if j is not None and one[i] == other[j]]
    ranges: list[tuple[int, int] | None] = []
    j = 0
    for i_end, j_end in [*same, (len(one), len(other))]:
        i = len(ranges)
        if i == i_end:
            _extend(ranges, j, j_end)
        elif i_end - i == j_end - j:
            ranges += [(at, at + 1) for at in range(j, j_end)]
        else:
            ranges += _shares([len(letters_of(word)) for word in written[i:i_end]], j, j_end)
        if i_end < len(one):
            ranges.append((j_end, j_end + 1))
        j = j_end + 1
    for k, range_ in enumerate(ranges):
        if range_:  # it also gets what is spoken before it
            ranges[k] = 0, range_[1]
            break
    return ranges


def _extend(ranges: list[tuple[int, int] | None], first: int, last: int) -> None:
    """Give the spoken words from `first` to `last`, that no written word stands for, to the word before."""
    for k in range(len(ranges) - 1, -1, -1):
        if found := ranges[k]:
            assert found[1] == first
            ranges[k] = found[0], last
            return


def _shares(letters: Sequence[int], first: int, last: int) -> list[tuple[int, int] | None]:
    """Divide the spoken words from `first` to `last` among written words with so many letters each."""
    count, total, before = last - first, sum(letters), 0
    edges = [first]
    for size in letters:
        before += size
        edges.append(first + round(count * before / total))
    return [(start, end) if start < end else None for start, end in pairwise(edges)]
