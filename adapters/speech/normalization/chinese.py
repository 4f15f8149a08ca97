"""Numbers and signs of Chinese text in characters. Every repetition in a pattern is bounded."""

# ruff: noqa: E501, RUF001  (a rule is a line; marks of other scripts look like ours)

from __future__ import annotations

import re

from adapters.speech.normalization.cleaning import RAISED
from adapters.speech.normalization.numerals import chinese, chinese_digits
from adapters.speech.normalization.roman import number_of

_N = r"(\d{1,3}(?:,\d{3}){1,5}(?:\.\d{1,12})?|\d{1,15}(?:\.\d{1,12})?)"
_LEFT = r"(?<![\d.])(?<!\d,)"
_RIGHT = r"(?!\d|[.,]\d)"
_TO = r" ?[-–—~～] ?"
_MONEY = {
    "US$": "美元", "HK$": "港元", "NT$": "新台币", "C$": "加元", "A$": "澳元", "R$": "雷亚尔", "S$": "新元", "$": "美元",
    "€": "欧元", "£": "英镑", "¥": "元", "₩": "韩元", "₹": "卢比", "₽": "卢布", "RMB": "元", "CNY": "元", "USD": "美元",
    "EUR": "欧元", "GBP": "英镑", "JPY": "日元",
}  # fmt: skip
_LARGE = {"k": 1_000, "K": 1_000, "M": 1_000_000, "m": 1_000_000, "B": 10**9, "b": 10**9, "bn": 10**9, "T": 10**12}
_UNITS = {
    "km/h": "", "km": "公里", "cm": "厘米", "mm": "毫米", "nm": "纳米", "μm": "微米", "m": "米", "kg": "公斤", "mg": "毫克",
    "g": "克", "t": "吨", "ml": "毫升", "mL": "毫升", "L": "升", "l": "升", "kWh": "千瓦时", "kW": "千瓦", "W": "瓦", "V": "伏",
    "Hz": "赫兹", "kHz": "千赫兹", "MHz": "兆赫兹", "GHz": "吉赫兹", "ms": "毫秒", "min": "分钟", "s": "秒", "h": "小时",
    "ft": "英尺", "mph": "英里每小时", "m/s": "米每秒", "m/s²": "米每二次方秒", "kcal": "千卡", "dB": "分贝", "°C": "摄氏度", "℃": "摄氏度",
    "°F": "华氏度", "℉": "华氏度", "°": "度",
}  # fmt: skip
_VULGAR = {"½": "二分之一", "⅓": "三分之一", "⅔": "三分之二", "¼": "四分之一", "¾": "四分之三", "⅛": "八分之一"}
_TWO = "个人位只条件本张台辆家种次天周块斤公杯瓶套间座颗双对份把句段遍头匹棵部架艘所封群枚倍小点"
"""Characters before which a single 2 is 两."""


def write_out(text: str) -> str:
    """Return Chinese text with its numbers and signs in characters."""
    for sign, words in (("№", "No."), ("％", "%"), ("℃", "°C"), ("℉", "°F"), ("₂", "2"), ("₃", "3")):
        text = text.replace(sign, words)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _number(text: str) -> str:
    return chinese(text.replace(",", ""))


def _year(text: str) -> str:
    return chinese_digits(text)


def _phone(match: re.Match[str]) -> str:
    return chinese_digits(re.sub(r"\D", "", match[0].replace("+", "")), "幺")


def _date(match: re.Match[str]) -> str:
    month, day = int(match[3]), int(match[4])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    return f"{_year(match[1])}年{chinese(str(month))}月{chinese(str(day))}日"


def _time(match: re.Match[str]) -> str:
    hour, minute, second = int(match[1]), int(match[2]), match[3]
    spoken = f"{chinese(str(hour)) if hour != 2 else '两'}点"
    if minute or second:
        spoken += f"{'零' if minute < 10 else ''}{chinese(str(minute)) if minute else ''}分"
    return f"{spoken}{chinese(str(int(second)))}秒" if second else spoken


def _money(match: re.Match[str]) -> str:
    sign, number, large, short = match.groups()
    return _amount(number, large, short) + _MONEY[sign]


def _amount(number: str, large: str | None, short: str | None) -> str:
    number = number.replace(",", "")
    if short:
        whole, _, decimals = number.partition(".")
        size = len(str(_LARGE[short])) - 1
        decimals = decimals.ljust(size, "0")
        number = (whole + decimals[:size]).lstrip("0") or "0"
        rest = decimals[size:].rstrip("0")
        number = f"{number}.{rest}" if rest else number
    elif re.fullmatch(r"\d+\.\d\d", number):
        number = number.rstrip("0").rstrip(".")
    return chinese(number) + (large or "")


def _unit(match: re.Match[str]) -> str:
    number, unit, power = _number(match[1]), match[2], match[3]
    if unit == "km/h":
        return f"每小时{number}公里"
    if power and unit in ("m", "km", "cm", "mm"):
        return f"{number}{'平方' if power in '²2' else '立方'}{_UNITS[unit]}"
    return f"{number}{_UNITS[unit]}{power or ''}"


def _power(match: re.Match[str]) -> str:
    power = match[2].translate(RAISED)
    base = _number(match[1]) if match[1][0].isdigit() else match[1]
    if power == "2":
        return f"{base}的平方"
    return f"{base}的{chinese(power.lstrip('-')) if power[0] != '-' else '负' + chinese(power[1:])}次方"


def _fraction(match: re.Match[str]) -> str:
    return f"{_number(match[2])}分之{_number(match[1])}"


def _mixed(match: re.Match[str]) -> str:
    return (f"{_number(match[1])}又" if match[1] else "") + _VULGAR[match[2]]


def _years(match: re.Match[str]) -> str:
    return f"{_year(match[1])}到{_year(match[2])}年"


_SUMS = {
    "+": "加", "-": "减", "−": "减", "×": "乘", "*": "乘", "÷": "除以", "/": "除以", "=": "等于", "<": "小于", ">": "大于",
    "≤": "小于等于", "≥": "大于等于", "≠": "不等于", "≈": "约等于",
}  # fmt: skip


def _sum(match: re.Match[str]) -> str:
    return _SUMS[match[1]]


def _roman(match: re.Match[str]) -> str:
    number = number_of(match[1])
    return chinese(str(number)) if number else match[0]


_SIGNS = "|".join(sorted(map(re.escape, _MONEY), key=len, reverse=True))
_UNIT_NAMES = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # long numbers of cards, telephones and addresses, before anything reads them as amounts
        (r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", lambda m: chinese_digits(m[0])),
        (r"(?<![A-Za-z\d.])(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?![\d/-])", _date),
        (r"(?<!\w)\+ ?\d{1,3}(?:[ -]?\d{2,5}){2,5}(?!\d)", lambda m: "加" + _phone(m)),
        (r"(?<!\d)0\d{2,3}[- ]\d{7,8}(?!\d)", _phone),
        (r"(?<!\d)\d{3}-\d{3,4}-\d{4}(?!\d)", _phone),
        (r"(?<![\d.,])1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d|[元块万亿个人])", _phone),
        (
            r"(?:(?<=拨打)|(?<=电话)|(?<=呼叫)|(?<=热线)|(?<=打)|(?<=拨)|(?<=致电)|(?<=[打拨]\d{3}[或和、]))[:： ]?\d{3,12}(?!\d|个)",
            _phone,
        ),
        (
            r"(?<![\d.])(?:110|119|120|122|911|12306|12315|12345|10086|10010|10000|114)(?=热线|电话|客服|急救|报警)",
            _phone,
        ),
        (r"(?<!\d)(\d{1,2})·(\d{1,2})(?!\d)", lambda m: chinese_digits(m[1] + m[2])),
        (r"(?<![\d/])24/7(?![\d/])", "二十四七"),
        (r"(?<=[号码][:： ])\d{3,}|(?<=[号码])\d{3,}|\d{16,}", lambda m: chinese_digits(m[0])),
        (r"(?<![\d.,:])0\d{1,15}(?![\d.:])", lambda m: chinese_digits(m[0])),
        (r"(?<=[vV])(\d{1,4}(?:\.\d{1,4}){1,4})(?![\d.])", lambda m: "点".join(map(chinese, m[1].split(".")))),
        (r"(?<![\d.,])(\d{1,4}(?:\.\d{1,4}){2,4})(?![\d.])", lambda m: "点".join(map(chinese, m[1].split(".")))),
        (r"(?<=[A-Za-z])\d{4,}", lambda m: chinese_digits(m[0])),
        (r"(?<![\d.])\d{3,4}(?=室|房间)", lambda m: chinese_digits(m[0])),
        # dates and times
        (r"(?<!\d)((?:19|20)\d\d)[-–—~～至到]((?:19|20)\d\d)(?![\d年])", lambda m: f"{_year(m[1])}到{_year(m[2])}"),
        (r"(?<!\d)(\d{4})年?[-–—~～至到](\d{4})(?=年)年?", _years),
        (r"(?<!\d)((?:1[1-9]|20)(?!00)\d\d)(?=年)", lambda m: _year(m[1])),
        (
            r"(?<!\d)((?:1[1-9]|20)00|0\d|[89]\d|[5-7]0(?=年代))(?=年(?!前|后|来|间|内|以|多|左|之))",
            lambda m: _year(m[1]),
        ),
        (r"(?<=公元前)(\d{1,4})(?=年)", lambda m: chinese(m[1])),
        (r"(?<!\d)(\d0)(?=后(?!\w{0,2}[天年月日]))", lambda m: _year(m[1])),
        (r"(?<![\d:.])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])", _time),
        (r"(?<=[时分点秒日月年元])" + _TO + r"(?=[零一二三四五六七八九十两\d])", "到"),
        # amounts of money
        (rf"¥ ?{_N}{_TO}¥?{_N}元?(?![\d万千亿])", lambda m: f"{_number(m[1])}到{_number(m[2])}元"),
        (
            rf"(?<![A-Za-z$])({_SIGNS}) ?{_N}(?: ?([千万亿百]{{1,2}}))?(k|K|M|m|bn|B|b|T)?(?![A-Za-z\d])(?:元|人民币|美元|美金)?",
            _money,
        ),
        (
            rf"{_LEFT}{_N} ?([千万亿百]{{1,2}})?(k|K|M|m|bn|B|b|T)? ?(€|£|\$|USD|RMB|CNY|EUR|GBP|JPY)(?![A-Za-z\d])",
            lambda m: _amount(m[1], m[2], m[3]) + _MONEY[m[4]],
        ),
        (r"(?<=[\u4e00-\u9fff ])[-−](?=\d{1,9}(?:\.\d{1,9})?(?:[~～到至°度%]|$|[，。,、]))", "负"),
        # fractions, ratios, ranges, sums
        (rf"(?<!\w)(\d{{1,9}})? ?([{''.join(_VULGAR)}])", _mixed),
        (r"(?<![\d./])(\d{1,4})/(\d{1,4})(?![\d/])", _fraction),
        (
            r"(?<![\d:.])(\d{1,4}(?:\.\d{1,3})?)[:：](\d{1,4}(?:\.\d{1,3})?)(?![\d:：])",
            lambda m: f"{chinese(m[1])}比{chinese(m[2])}",
        ),
        (
            r"((?:比分|比|胜|赢|负|输|平)[^\d，。,.]{0,4})(\d{1,3})[-–—](\d{1,3})(?!\d)",
            lambda m: f"{m[1]}{chinese(m[2])}比{chinese(m[3])}",
        ),
        (
            r"(?<![\d.-])(\d{1,3})[-–—](\d{1,3})(?=(?:大|小|完|险|力|逆转)?(?:胜|负|平)|战胜|战平|击败|不敌|取胜|领先|落后|获胜)",
            lambda m: f"{chinese(m[1])}比{chinese(m[2])}",
        ),
        (rf"{_LEFT}{_N}(%?){_TO}(?={_N})(?!\d{{1,9}} ?=)", lambda m: f"{m[1]}{m[2]}到"),
        (
            r"(?<=[\dA-Za-z)]) ?([-+−×*÷=<>≤≥≠≈]) ?(?=\d{1,9}(?:\.\d{1,9})?(?: ?[-+−×*÷=]|\b|[^\w]|$))(?<![A-Za-z][-−])",
            lambda m: _sum(m) if not (m[1] in "-−" and m.string[m.start() - 1].isalpha()) else " ",
        ),
        (r"(?<![\w)])([<>≤≥≠]) ?(?=\d)", _sum),
        (r"(?<=\d)(°[CF]?|%|[a-zA-Z]{1,3}) ?[~～–—] ?(?=[-−]?\d)", r"\1到"),
        (r"≈ ?(?=\d)", "约"),
        (r"± ?(?=\d)", "正负"),
        (r"(?<![\w~])[~～] ?(?=\d)", "约"),
        (r"(?<=[A-Za-z])[-–](?=\d)", ""),
        (r"(\d{1,9}|[A-Za-z])([⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6}|⁻[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,6})(?![A-Za-z\d⁰¹²³⁴⁵⁶⁷⁸⁹])(?<!m[²³])", _power),
        (r"(\d{1,9}|[A-Za-z])\^(-?\d{1,6})(?![A-Za-z\d])", _power),
        (r"(?<![\w)])[-−–](?=\d)", "负"),
        # percent, ordinals, units
        (rf"{_LEFT}{_N} ?%", lambda m: f"百分之{_number(m[1])}"),
        (rf"{_LEFT}{_N} ?‰", lambda m: f"千分之{_number(m[1])}"),
        (rf"{_LEFT}{_N} ?({_UNIT_NAMES})([²³23])?(?![A-Za-z\d/])", _unit),
        (r"(?i)\bNo\. ?(\d{1,9})", lambda m: f"{chinese(m[1])}号"),
        (r"#(\d{1,9})", lambda m: f"{chinese(m[1])}号"),
        (r"(?<=第)([IVXLC]{1,8})(?![A-Za-z])", _roman),
        (r"(?<=路易|亨利|查理|爱德|理查|乔治|保罗|彼得)([IVX]{1,6})(?![A-Za-z])", _roman),
        (r"(?<!\d)(\d{1,3})[xX×](\d{1,3})(?!\d)", lambda m: f"{chinese(m[1])}乘{chinese(m[2])}"),
        (rf"(?<![\d.,第])(?<!\d,)2(?=[{_TWO}])(?!公元|分之|小(?!时))", "两"),
        (r"(?<![\d.,])2000(?=年(?:前|后|来))", "两千"),
        (rf"{_LEFT}{_N}{_RIGHT}", lambda m: _number(m[1])),
        (r"\d{1,15}", lambda m: chinese(m[0])),
        (r"(?<=[\u4e00-\u9fff]) ?& ?(?=[\u4e00-\u9fff])", "和"),
    )
]
