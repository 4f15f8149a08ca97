"""Links, Markdown, HTML and SSML reduced to their text. Every repetition in a pattern is bounded."""

from __future__ import annotations

import html
import re

_TAG_NAMES = (
    "a|abbr|address|article|aside|audio|b|big|blockquote|body|br|button|center|cite|code|dd|del|details|dfn|div|dl|dt|em|"
    "emphasis|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|label|lang|li|"
    "link|main|mark|meta|nav|ol|option|p|phoneme|pre|prosody|q|s|samp|say-as|script|section|select|small|span|speak|"
    "strike|strong|style|sub|summary|sup|table|tbody|td|template|textarea|tfoot|th|thead|time|title|tr|tt|u|ul|var|"
    "video|voice|break|sentence|mstts:[a-z-]{1,20}|amazon:[a-z-]{1,20}"
)
_BLOCK = r"</?(?:p|div|br|li|h[1-6]|tr|ul|ol|table|blockquote|break|sentence|section|hr)\b[^<>]{0,500}>"
_RULES: tuple[tuple[str, str], ...] = (
    (r"<!--(?:(?!-->)[\s\S]){0,500}-->", " "),
    (r"(?i)<(script|style)\b[^<>]{0,500}>(?:(?!</\1)[\s\S]){0,1000}</\1>", " "),
    (rf"(?i){_BLOCK}", "\n"),
    (rf"(?i)</?(?:{_TAG_NAMES})(?:\s[^<>]{{0,500}})?/?>", ""),
    (r"<((?:https?://|mailto:|www\.)[^<>\s]{1,1000})>", r"\1"),
    (r"!?\[([^\[\]\n]{0,500})\]\((?:[^()\s]|\([^()\s]{0,200}\)){0,1000}(?:\s\"[^\"\n]{0,200}\")?\)", r"\1"),
    (r"!?\[([^\[\]\n]{1,500})\]\[[^\[\]\n]{0,100}\]", r"\1"),
    (r"(?m)^ ?\[[^\[\]\n]{1,100}\]: ?\S{1,1000}$", ""),
    (r"(?m)^ ?(?:```|~~~)[\w+-]{0,30} ?$", ""),
    (r"(?m)^ ?(?:-{3,200}|\*{3,200}|_{3,200}|={3,200}) ?$", ""),
    (r"(?m)^ ?\|?(?: ?:?-{2,100}:? ?\|){1,50}(?: ?:?-{2,100}:? ?)?$", ""),
    (r"(?m)^ ?>{1,5} ", ""),
    (r"(?m)^ ?\| ?| ?\| ?$", ""),
    (r"\[\^[\w-]{1,30}\]:?", ""),
    (r"(?m)^( ?[-*+] )\[[ xX]\] ", r"\1"),
)
_COMPILED = [(re.compile(pattern), replacement) for pattern, replacement in _RULES]
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[A-Za-z]{2,8}\d{0,2});")


def remove_markup(text: str) -> str:
    """Return `text` with the text of its links, and without tags, entities, rules and fences."""
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return _ENTITY.sub(lambda match: html.unescape(match[0]), text)
