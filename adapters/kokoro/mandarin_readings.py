"""Characters with several readings, told apart by their neighbours: a character of the right sound takes their place.

pypinyin reads words of its dictionary right, and a character that stands alone always in the same way. Words with a
wrong reading there are in polyphones.tsv; this module has those for which the words around decide. The text that it
returns is for the ear only.
"""

from __future__ import annotations

import re
from typing import Final

from pypinyin.constants import PHRASES_DICT

from adapters.speech.chinese_words import load_dictionary

MUST: Final = "嘚"
"""A rare character that stands for 得 where it is read děi; `polyphones.tsv` gives it this reading."""
_NUMBER = "一二两三四五六七八九十百千"
_RULES = [
    (re.compile(pattern), sound)
    for pattern, sound in (
        (rf"(?<=[{_NUMBER}几这那每哪半])只(?![要有是能会好不怕管见需在想])", "支"),
        (rf"(?<=第[{_NUMBER}])行|(?<=第[{_NUMBER}]{{2}})行|(?<=第[{_NUMBER}]{{3}})行|(?<=每)行(?!走)", "航"),
        (rf"(?<=[{_NUMBER}几])行(?=字|代码|诗|文字|泪|眼泪)", "航"),
        (r"(?<![请宗佛主回道说受家执文管助调求赐指胎信])教(?=[我你您他她它咱]|大家|学生|孩子)", "交"),
        (r"(?<=[我你他她们])数(?=[了过着])", "属"),
        (r"(?<![违])背(?=[着起了])", "杯"),
        (r"(?<=[很太更最较够多好挺])长(?![大高胖])", "常"),
        (
            r"(?:(?<=非常)|(?<=特别)|(?<=十分)|(?<=比较)|(?<=有点)|(?<=这么)|(?<=那么)|(?<=多么)|(?<=相当)|(?<=如此))长",
            "常",
        ),
        (rf"(?<!生)(?<!成)长(?=[{_NUMBER}几约]+(?:多|公)?[米里尺厘分千小天年个])", "常"),
        (r"(?<=又)长(?=又)|(?<=又)长(?=，|。|$)", "常"),
        (rf"(?<![这那各某每几此多{_NUMBER}品物人])种(?=[了过着](?!类)|[{_NUMBER}几]{{1,3}}[棵株亩颗])", "众"),
        (
            r"(?<=把[^，。,.]{1})还(?=[了给清回])|(?<=把[^，。,.]{2})还(?=[了给清回])|(?<=把[^，。,.]{3})还(?=[了给清回])",
            "环",
        ),
        (r"还(?=清|[我你他她]钱)", "环"),
        (r"中(?=了[奖毒弹计招圈举])", "众"),
    )
]
_SUBJECTS = frozenset(
    ("我", "你", "您", "他", "她", "它", "咱", "我们", "你们", "他们", "她们", "咱们", "大家", "自己")
)
_ADVERBS = frozenset(("还", "就", "也", "都", "又", "总", "必须", "非", "可", "得", "至少", "恐怕", "最好", "不"))
_NO_PARTICLE = frozenset("上下里中的和是有在了很也就都不面方，。、！？；：,.!?;: ")
_MEASURED = re.compile(rf"[这那每哪某各本{_NUMBER}几半].{{0,3}}")


def respell(text: str) -> str:
    """Return Chinese text with characters of the right sound in place of some that would be read wrong."""
    for pattern, sound in _RULES:
        text = pattern.sub(sound, text)
    return _particles(text) if "得" in text or "地" in text else text


def _particles(text: str) -> str:
    """Tell the particles 得 and 地, which sound like 的, from the verbs and the noun."""
    words = list(load_dictionary().cut(text))
    spoken = []
    for i, word in enumerate(words):
        before, after = words[i - 1] if i else "", words[i + 1] if i + 1 < len(words) else ""
        spoken.append(_word(word, before, after))
    return "".join(spoken)


def _word(word: str, before: str, after: str) -> str:
    if word == "得":
        if before in _SUBJECTS or before in _ADVERBS or not before:
            return MUST if after and after[0] not in "了过到，。！？" else word
        return "的" if _is_han(before) else word
    if "地" in (word[0], word[-1]) and word not in PHRASES_DICT:
        adverb, verb = (word[:-1] or before, after) if word[-1] == "地" else (before, word[1:])
        return word.replace("地", "的") if _is_adverb(adverb) and _is_verb(verb) else word
    if len(word) == 3 and word[1] == "得" and word not in PHRASES_DICT:
        return word.replace("得", "的")
    return word


def _is_adverb(word: str) -> bool:
    return len(word) > 1 and _is_han(word) and not _MEASURED.fullmatch(word)


def _is_verb(word: str) -> bool:
    return bool(word) and _is_han(word) and word[0] not in _NO_PARTICLE


def _is_han(word: str) -> bool:
    return "\u3400" <= word[-1] <= "\u9fff"
