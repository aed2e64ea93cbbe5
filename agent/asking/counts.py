"""Counts: how many pictures a request asks for, wherever it says so.

    split_count("a fox in snow, 4 versions please")      -> ("a fox in snow", 4)
    split_count("a crab as a DJ, do 3 of it so i can choose")  -> ("a crab as a DJ", 3)
    split_count("寒江独钓，给我两张")                      -> ("寒江独钓", 2)
    split_count("two pictures of a man hang on a wall")  -> unchanged, None

A count leaves the prompt with its clause. "Two pictures" in a description hang on a wall: they count only
where something is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from diffagent.agent.asking.cutting import has_words, masked, without

NUMBERS = {
    "a": 1, "one": 1, "two": 2, "a couple of": 2, "a couple": 2, "couple of": 2, "couple": 2, "a pair of": 2,
    "three": 3, "a few": 3, "some": 1, "several": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "twelve": 12, "a dozen": 12, "half a dozen": 6, "multiple": 3, "an": 1, "both": 2,
    "twice": 2, "thrice": 3, "different": 2,
}  # fmt: skip
"""Number words and their values."""
UNLIKE = (
    r"(?:(?:different|separate|unique|alternative|distinct|other|nice|good|cool|quick|new|random|single|more)"
    r"\s+){0,3}"
)
"""Words between a number and its noun."""
VERSIONS = (
    r"(?:versions?|variations?|variants?|options?|alternatives?|renditions?|interpretations?|"
    r"takes|tries|attempts|drafts)"
)
"""Words that mean pictures asked for wherever they stand; "two pictures" may as well hang on a wall."""
PICTURE = (
    rf"(?P<picture>{VERSIONS}|images?|pictures?|pics?|outputs?|results?|samples?|copies|candidates?|"
    r"generations?|imgs?)"
)
_SEVERAL = (
    r"(?:\d{1,4}|a couple(?: of)?|couple(?: of)?|a few|half a dozen|a dozen|several|multiple|two|three|four|"
    r"five|six|seven|eight|nine|ten|twelve)"
)
_ASK = (
    r"(?:(?:(?:please|pls|and|then|also|so|but|just|maybe)\s+){0,3}(?:(?:can|could|would)\s+(?:you|u|i)\s+"
    r"(?:please\s+)?)?(?:give|make|show|send|generate|create|draw|render|do|get|have|produce|try|paint)"
    r"(?:\s+(?:me|us))?|(?:i|we)(?:['’]d| would)?\s+(?:need|want|like|love|take)(?:\s+to\s+(?:have|"
    r"see|get))?)"
)
_WHY = (
    r"(?:\s+(?:so|so that|that|because|for)\s+(?:i|we|me|us|my|our|she|he|they)\b[^,;:.!?\n]{0,40}|"
    r"\s+to (?:choose|pick|select|decide|compare)(?: from| between)?)?"
)
_CLAUSE_COUNT = re.compile(
    rf"(?:(?:and|in|as|with|so|but|also|maybe)\s+){{0,2}}(?:(?:please|pls)\s+)?(?:{_ASK}\s+)?"
    rf"(?P<count>{_SEVERAL})(?:\s*x)?\s+{UNLIKE}"
    rf"(?:{PICTURE}|of (?:it|this|that|them|these|those)|different ones?|ones)"
    rf"(?:\s+(?:of (?:it|this|that|them|these)|each|in total|total|please|pls|plz|thanks|thx|if possible|"
    rf"at once|in one go|all different))*{_WHY}",
    re.I,
)
"""A clause that says how many: "4 versions please", "in three variations", "two versions so I can pick"."""
MOST_OF_THEM = 12
"""The most pictures of "8 of them": "23 of them" are people in a story."""
_BATCH = re.compile(
    rf"(?:,?\s(?:and|in|with|as)\s|,\s|^|(?<=[.;!?\n]))(?:an?\s)?batch(?:\ssize)?\s(?:of\s)?"
    rf"(?P<count>{_SEVERAL})(?:\s(?:images|pictures|pics|please|pls))?(?=\s*(?:[,;:.!?\n]|$))",
    re.I,
)
"""A batch at the end of a clause: "the same thing and a batch of 6: …"."""
_ASKED = re.compile(
    rf"\d|\b{VERSIONS}\b|\bpics?\b|please|pls|\b(?:give|make|show|generate|need|want|like|do|send|draw|get|"
    rf"have|produce|render|create)\b|\bof (?:it|this|these|them)|choose|pick",
    re.I,
)
_TIMES = re.compile(
    rf"(?:{_ASK}\s+)?(?:(?:it|this|that|them)\s+)?(?:(?P<times>\d{{1,2}}|two|three|four|five|"
    rf"six)(?:\s+times|x)|"
    rf"x\s?(?P<x>\d{{1,2}}))(?:\s+(?:please|pls))?{_WHY}|"
    rf"(?:a )?(?:batch|set|series|grid|bunch)(?: size)?(?: of|:)? "
    rf"(?P<batch>{_SEVERAL})(?:\s+{PICTURE})?(?:\s+(?:please|pls))?|"
    rf"{_ASK}\s+(?P<alone>two|three|four|five|six|[2-9])(?:\s+(?:please|pls|different ones|at once))*{_WHY}|"
    rf"(?P<piece>{_SEVERAL})(?:\s+(?:of (?:it|this|that|them|these)|please|pls))+{_WHY}|"
    rf"(?:n|images|pictures|number of (?:images|pictures)|batch size|batch count|"
    rf"count)\s?[=:]\s?(?P<n>\d{{1,2}})",
    re.I,
)
"""A clause that counts without a noun: "do it 3 times", "x4", "make two please", "n=4"."""
_LABELLED = re.compile(
    r"(?:(?<=[,;.!?(\n])|^)[ \t]*+(?:(?:number|no\.?|nr\.?|count|amount) of |# ?of )?"
    r"(?:(?:images?|pictures|pics|imgs?|photos|outputs|versions|variations|variants)(?: count)?[ \t]?[:=]?|"
    r"(?:batch(?: size| count)?|quantity|qty|how many)[ \t]?[:=])[ \t]?(?P<count>\d{1,2})"
    r"(?=[ \t]*+(?:[,;.!?)\n]|$|please\b|pls\b))",
    re.I,
)
"""A count behind its name: "images: 2"."""
_LAST = re.compile(
    rf"(?:(?<=[,;.!?\n])|^)[ \t]*+(?:and )?(?P<count>{_SEVERAL})[ \t]"
    r"(?:images|(?P<thing>pictures|photos|copies|samples))[ \t.!]*+\Z",
    re.I,
)
"""The last words of a request: "…, two images."."""
_PLEADS = re.compile(
    r"\b(?:please|pls|plz|(?:can|could|would) (?:you|u|ya)|(?:make|draw|paint|give|show|send) (?:me|us)|"
    r"generate|i(?:['’]d| would)? (?:need|want|like)|gimme)\b",
    re.I,
)
_ONLY_ONE = re.compile(
    r"(?:(?:i |we )?(?:just|only) (?:need |want )?(?:one|1|a single) (?:image|picture|pic|img|version|photo)"
    r"(?: (?:please|pls|is (?:enough|fine|ok(?:ay)?|needed)|needed|will do|thanks))*|"
    r"(?:just |only )?(?:one|1|a single)(?: (?:image|picture|pic|img|version|photo|of it|of them))? "
    r"(?:is|will be|would be|['’]s) (?:enough|fine|ok(?:ay)?|plenty|sufficient|needed|all (?:i|we) need)"
    r"(?: (?:please|pls|thanks|for me|for now))*|"
    r"(?:just|only) one (?:please|pls|needed)|"
    r"(?:one|1) (?:image|picture|pic|img|version) (?:only|please|pls))",
    re.I,
)
"""A clause that says that one picture is asked for."""
_INSIDE = re.compile(
    rf"(?:(?:, ?| ))?\b(?:and|then|so|but)\s+(?:please\s+)?(?:do|make|give me|draw|generate|create|"
    rf"show me|send me|"
    rf"i need|i want|i['’]d like)\s+(?P<count>{_SEVERAL})\s+{UNLIKE}(?:of (?:it|this|that|them|these)|"
    rf"{VERSIONS}|pics?|pictures?|images?){_WHY}(?=\s*(?:$|[,;:.!?\n]|please\b|pls\b|thanks\b))",
    re.I,
)
""" "… and do 3 of it so I can choose", in a clause that says something else first."""
_AT_FRONT = re.compile(
    rf"\s{{0,4}}(?P<count>\d{{1,4}}|a couple(?: of)?|a few|several|multiple|half a dozen|two|three|four|"
    rf"five|six|seven|"
    rf"eight|nine|ten|twelve)(?:\s*x)?\s+{UNLIKE}(?:(?P<versions>{VERSIONS}|pics)|"
    rf"(?P<picture>pictures|images))"
    rf"(?:\s+(?:please|pls))?\s+(?:of|for|showing|with|on)\s+(?!(?:an?|the|my|our|your) "
    rf"(?:\w{{1,20}} )?(?:wall|shelf|table|desk)\b)",
    re.I,
)
_HANGING = re.compile(
    r"\b(?:hang\w*|hung|framed?|each other|on (?:a|the|my|our) (?:\w+ )?(?:wall|shelf|table|desk|fridge|"
    r"refrigerator|mantel\w*)|side by side|next to|collage|album|sit(?:ting|s)? on|are|were|taped|pinned)\b",
    re.I,
)
"""Words by which pictures are things of the scene."""
_EACH = re.compile(r"(?<!\S)(?:each|apiece|for each|per (?:image|picture))(?=[ \t]*+(?:[,;:.)\n]|$))", re.I)
_BEHIND = re.compile(
    r"[,.]?\s++(?:so(?: that)?|because|then)\s++(?:i|we|me|they|she|"
    r"he)\b(?:['’]ll)?[^,;:.!?\n]{0,40}(?=[,;:.!?\n]|$)",
    re.I,
)
"""The reason for more than one, in a clause behind the count."""
_CLAUSE = re.compile(r"[^,;:.!?\n()\[\]{}|\"]+")

_FOREIGN_NUMBERS = (
    (2, "dos|deux|zwei|due|duas|dois|twee|dwie|dwa|dwóch|два|две|двe|iki|två|to|dvě|dva|dua|hai|"
        "két|kettő|două|mbili|اثنين|اثنتين|שתי|שני|שתיים|दो"),
    (3, "tres|trois|drei|tre|três|drie|trzy|три|üç|tři|tiga|ba|három|trei|tatu|ثلاث|ثلاثة|שלוש|שלושה|तीन"),
    (4, "cuatro|quatre|vier|quattro|quatro|cztery|четыре|чотири|dört|fyra|fire|čtyři|empat|bốn|négy|"
    "patru|nne|"
        "أربع|أربعة|ארבע|ארבעה|चार"),
    (5, "cinco|cinq|fünf|cinque|vijf|pięć|пять|п['’]ять|beş|fem|pět|lima|năm|öt|cinci|tano|خمس|חמש|पाँच"),
    (6, "seis|six|sechs|sei|zes|sześć|шесть|шість|altı|sex|seks|šest|enam|sáu|hat|șase|sita|ست|שש|छह"),
)  # fmt: skip
_FOREIGN_PICTURES = (
    "versiones|variantes|imágenes|imagenes|opciones|dibujos|fotos|versions|images|variations|dessins|options|"
    "versionen|varianten|bilder|optionen|versioni|varianti|immagini|opzioni|disegni|versões|"
    "variações|imagens|"
    "opções|desenhos|versies|afbeeldingen|plaatjes|opties|wersje|warianty|obrazki|obrazy|wersji|"
    "версии|версий|версії|варианта|вариантов|варіанти|картинки|картинок|изображения|изображений|"
    "картинку|рисунка|"
    "versiyon|görsel|resim|seçenek|varyasyon|versioner|varianter|billeder|verze|obrázky|"
    "versi|gambar|"
    "phiên bản|ảnh|bức|hình|változat|kép|versiuni|imagini|variante|picha|صور|نسخ|تصميمات|תמונות|גרסאות|"
    "तस्वीरें|चित्र|संस्करण"
)
_FOREIGN_WORDS = "|".join(f"(?P<n{number}>{words})" for number, words in _FOREIGN_NUMBERS)
_FOREIGN = re.compile(
    r"(?:(?<=[,;:.!?،\n])|^)(?=[ \t]{0,3}\w)[ \t]{0,3}(?:(?:por favor|bitte|s['’]il (?:te|vous) "
    r"pla[iî]t|per favore|"
    r"alsjeblieft|proszę|"
    r"пожалуйста|lütfen|y|et|und|e|en|i|и|ve|och|og|و)\s+)?"
    r"(?:(?:haz(?:me)?|dame|quiero|fais(?:[- ]moi)?|donne[- ]moi|je veux|mach(?:e|en)?(?: mir| sie)?|gib mir|"
    r"ich (?:möchte|hätte gern|will)|fammi|dammi|vorrei|me (?:dá|faz|faça)|faz(?:-me)?|quero|"
    r"maak(?: me)?|geef me|"
    r"zrób(?: mi)?|daj(?: mi)?|сделай(?:те)?(?: мне)?|дай(?:те)?(?: мне)?|нарисуй(?:те)?(?: мне)?|зроби|bana|"
    r"gör(?: mig)?|ge mig|lav|udělej|buat(?:kan)?|beri|cho tôi|làm|vẽ|kérek|fă-mi|nipe|اعطني|أعطني|"
    r"ارسم|تعطيني|"
    r"תן לי|תעשה|אני רוצה|मुझे)\s+)?"
    r"(?:(?:en|in|em|w|в|i|trong)\s+|ב)?"
    rf"(?:(?P<digits>\d{{1,2}})|{_FOREIGN_WORDS})\s+(?:(?:diferentes|différentes|verschiedene|diverse|"
    rf"farklı|różne|разных|разные|adet|tane|verschillende|bức|tấm)\s+)?(?:{_FOREIGN_PICTURES})(?!\w)"
    r"(?:\s+(?:diferentes|différentes|distintas|diverse|por favor|bitte|s['’]il (?:te|vous) "
    r"pla[iî]t|per favore|"
    r"proszę|alsjeblieft|пожалуйста|будь ласка|lütfen|yap|çiz|istiyorum|khác nhau|दो|चाहिए|बनाओ|zum "
    r"auswählen|"
    r"para elegir|pour choisir|da scegliere|на выбор|do wyboru))*(?=\s*(?:[,;:.!?،\n]|$))",
    re.I,
)
_OF_FOREIGN = re.compile(
    rf"\A(?:(?P<digits>\d{{1,2}})|{_FOREIGN_WORDS})\s+(?:{_FOREIGN_PICTURES})\s+(?:de|d['’]|von|di|"
    rf"van|с|с изображением|"
    r"dari|của|של|की|के|ل)\s*",
    re.I,
)
_DUAL = re.compile(
    r"(?:(?<=[,;:.!?،\n])|^)(?=[ \t]{0,3}\w)[ \t]{0,3}(?:(?:أعطني|اعطني|ارسم لي|أريد|من "
    r"فضلك)\s+)?(?:صورتين|نسختين|"
    r"رسمتين)(?:\s+من فضلك)?"
    r"(?=\s*(?:[,;:.!?،\n]|$))"
)
_CJK = {"一": 1, "两": 2, "兩": 2, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "두": 2, "세": 3, "네": 4,
        "다섯": 5, "여섯": 6, "สอง": 2, "สาม": 3, "สี่": 4}  # fmt: skip
_CJK_NUMBER = r"(?P<count>\d{1,2}|[一两兩二三四五六])"
_SIGNS = tuple(
    re.compile(pattern)
    for pattern in (
        # 给我两张, 来三张图, 画4个版本, 两张就好
        r"(?:(?<=[,;:.!?，。、；！？\n])|^)(?=[ \t]{0,3}\w)[ \t]{0,3}(?:请|請)?"
        r"(?:给我|給我|来|來|要|画|畫|生成|做|出|帮我画|幫我畫|我要|我想要|需要)?"
        + _CJK_NUMBER
        + r"\s?(?:张|張|幅|个版本|個版本|种版本|種版本|个方案|款|份)"
        r"(?:图片|圖片|图|圖|画|畫|照片)?(?:吧|就好|可以吗|谢谢|謝謝)?"
        r"(?=\s*(?:[,;:.!?，。、；！？\n]|$))",
        # 2枚お願いします, 3パターン, 三枚ください
        r"(?:(?<=[,;:.!?，。、；！？\n])|^)(?=[ \t]{0,3}\w)[ \t]{0,3}"
        + _CJK_NUMBER
        + r"\s?(?:枚|パターン|案|種類|バージョン|つのバージョン)"
        r"(?:で|を|ほど)?(?:お願いします|お願い|ください|下さい|描いて(?:ください)?|作って(?:ください)?|欲しいです|ほしい)?"
        r"(?=\s*(?:[,;:.!?，。、；！？\n]|$))",
        # 두 장 그려줘, 3가지 버전으로
        r"(?:(?<=[,;:.!?\n])|^)(?=[ \t]{0,3}\w)[ \t]{0,3}(?P<count>\d{1,2}|두|세|네|다섯|여섯)\s?(?:장|"
        r"가지(?: 버전)?|개(?: "
        r"버전)?)(?:만|으로|을|를)?"
        r"\s?(?:그려\s?줘|그려\s?주세요|만들어\s?줘|만들어\s?주세요|부탁해요?|부탁드립니다|주세요|줘)?(?=\s*(?:[,;:.!?\n]|$))",
        # ขอ 3 ภาพ, สองรูป
        r"(?:(?<=[,;:.!?\s])|^)(?:ขอ|ทำ|เอา)?\s?(?P<count>\d{1,2}|สอง|สาม|สี่)\s?(?:ภาพ|รูป|"
        r"แบบ)(?=\s*(?:[,;:.!?\n]|$))",
    )
)


def split_count(text: str) -> tuple[str, int | None]:
    """Returns the text without its count of pictures, and the count; the text unchanged and None where it has
    none, or nothing else would be left."""
    flat = masked(text)
    for start, end, n in _counts(flat, len(text.strip())):
        rest = without(text, [(start, end)])
        if n > 0 and has_words(rest):
            return _without_each(rest), n
    return text, None


def number(words: str | None) -> int:
    """Returns the value of a number word or digits; 1 for None."""
    if words is None:
        return 1
    return max(1, int(words)) if words.isdecimal() else NUMBERS.get(" ".join(words.casefold().split()), 1)


def _counts(flat: str, length: int) -> Iterator[tuple[int, int, int]]:
    """Yields start, end and number of each count of pictures, the surest first."""
    for clause in _CLAUSE.finditer(flat):
        words = clause[0].strip()
        if len(words) >= length:
            continue
        end = behind.end() if (behind := _BEHIND.match(flat, clause.end())) else clause.end()
        hit = _CLAUSE_COUNT.fullmatch(words)
        if hit and number(hit["count"]) > MOST_OF_THEM and not hit["picture"]:
            continue
        if hit and _ASKED.search(words):
            yield clause.start(), end, number(hit["count"])
        elif _ONLY_ONE.fullmatch(words):
            yield clause.start(), end, 1
        elif hit := _TIMES.fullmatch(words):
            groups = hit.groupdict()
            count_words = next(
                groups[name] for name in ("times", "x", "batch", "alone", "piece", "n") if groups[name]
            )
            yield clause.start(), end, number(count_words)
    for hit in _LABELLED.finditer(flat):
        yield *hit.span(), int(hit["count"])
    if (last := _LAST.search(flat)) and (not last["thing"] or _PLEADS.search(flat)):
        yield *last.span(), number(last["count"])
    for hit in (*_INSIDE.finditer(flat), *_BATCH.finditer(flat)):
        yield *hit.span(), number(hit["count"])
    front = _AT_FRONT.match(flat)
    if front and (front["versions"] or not _HANGING.search(flat, front.end())):
        yield *front.span(), number(front["count"])
    for pattern in (_FOREIGN, _OF_FOREIGN, _DUAL):
        if hit := pattern.search(flat):
            yield *hit.span(), _foreign_number(hit)
    for pattern in _SIGNS:
        if hit := pattern.search(flat):
            yield *hit.span(), int(_CJK.get(hit["count"]) or hit["count"])


def _foreign_number(hit: re.Match[str]) -> int:
    groups = hit.groupdict()
    if groups.get("digits"):
        return int(groups["digits"])
    return next((int(name[1:]) for name, value in groups.items() if value and name[1:].isdigit()), 2)


def _without_each(text: str) -> str:
    """The text without the "each" that a count leaves behind."""
    flat = masked(text)
    rest = without(text, [hit.span() for hit in _EACH.finditer(flat)])
    return rest if has_words(rest) else text
