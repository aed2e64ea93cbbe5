"""Shapes: the words by which people ask for a picture's shape.

aspect_of("a heron, A4 upright")   -> (210, 297), False
aspect_of("portrait of a heron")   -> (2, 3), True: the word may as well mean the subject
"""

from __future__ import annotations

import re

_RATIO = re.compile(
    r"(?:(?:--|[—–])ar\s++|\b(?:aspect(?: ratio)?(?: of)?|"
    r"ratio)\s*+(?::\s*+)?)(\d{1,2})\s?[:x/]\s?(\d{1,2})\b",
    re.I,
)
_BARE_RATIO = re.compile(r"(?<![\w:.])(1:1|2:3|3:2|3:4|4:3|4:5|5:4|9:16|16:9|9:21|21:9)(?![\w:])")

_TALL, _WIDE, _SQUARE = (2, 3), (3, 2), (1, 1)
_PHONE = r"(?:phone|mobile|iphone|android|smartphone|lock ?screen)"
_COMPUTER = r"(?:desktop|laptop|pc|computer|monitor|tv)"
_FOR = r"(?:wallpaper|background)s? for (?:(?:my|an?|the) )?(?:\w+ )?"


def _phrases(*alternatives: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(alternatives) + r")\b", re.I)


_Shapes = tuple[tuple[tuple[int, int], re.Pattern[str]], ...]
_FORMAT = " (?:format|orientation|mode|aspect|shape|layout)"

_UPRIGHT = r"(?:upright|portrait|vertical|tall)"
_LYING = r"(?:landscape|horizontal|wide)"
_SHEET = r"(?<!audi )(?:din )?a[2-6](?: size| format| paper)?"
_SLIDE = re.compile(
    r"(?:(?<=[,;.:\n])|(?<=[-–—])|^)[ \t]*+(?:as an? |for an? )?(?:slides?|presentation)(?: format| size)?"
    r"(?=[ \t]*+(?:[,;.:\n]|$|please|pls))",
    re.I,
)
"""A clause of its own."""
FORMATS: _Shapes = (
    ((2, 1), _phrases("twice as wide as (?:it is |it's )?(?:tall|high)", "2 ?: ?1")),
    ((1, 2), _phrases("twice as (?:tall|high) as (?:it is |it's )?wide", "1 ?: ?2")),
    ((297, 210), _phrases(_LYING + " " + _SHEET, _SHEET + "(?: in)? " + _LYING)),
    (
        (210, 297),
        _phrases(
            _UPRIGHT + " " + _SHEET,
            _SHEET
            + "(?: (?:in )?"
            + _UPRIGHT
            + r"| page| sheet| poster| print|(?= for print)|(?=\s*+[,;:.]|$))",
        ),
    ),
    ((17, 22), _phrases("(?:us )?letter[- ](?:size|format|paper)", "us letter")),
    (
        (9, 16),
        _phrases(
            _PHONE + " (?:wallpaper|background|screen)",
            _FOR + _PHONE,
            "lock ?screen",
            "(?:instagram|tiktok|snapchat|whatsapp|facebook|insta|ig) (?:story|stories|reels?|status)",
            "(?:youtube )?shorts? (?:cover|format)",
            "story format",
            "telefon duvar kağıdı",
            "fondo de pantalla (?:para|de|del) (?:(?:el|mi|un) )?(?:móvil|celular|teléfono)",
            "fond d['’]écran (?:(?:pour|de) )?(?:(?:mon|le|un) )?(?:téléphone|mobile|portable)",
            "handy[- ]?hintergrund(?:bild)?",
            "sfondo (?:per|del) (?:(?:il|mio) )*(?:telefono|cellulare)",
            "papel de parede (?:para|de|do) (?:(?:o|meu) )?(?:celular|telemóvel)",
            "tapet[aę] na telefon",
            "обои (?:для|на) телефона?",
            "шпалери (?:для|на) телефон[ау]?",
        ),
    ),
    ((9, 16), re.compile(r"(?:スマホ|携帯|手机|手機)の?(?:壁紙|待ち受け|壁纸)|휴대폰 ?(?:배경|바탕)")),
    ((9, 21), _phrases("(?:tall|upright|vertical|roll-?up|hanging) banner", "bookmark")),
    (
        (21, 9),
        _phrases(
            "(?:wide|long|horizontal) banner", "(?:twitter|linkedin|x|twitch|etsy|facebook) (?:banner|header)"
        ),
    ),
    (
        (16, 9),
        _phrases(
            _COMPUTER + " (?:wallpaper|background)",
            _FOR + _COMPUTER,
            "wide ?screen",
            "(?:web|header|website|youtube) banner",
            "(?:youtube |video )?thumbnail",
            "hero image",
            "(?:powerpoint|ppt|keynote|pitch ?deck|title|google|presentation) slides?",
            "slide ?(?:show|deck)",
            "power ?point|pitch ?deck",
            "(?:for|in|behind) (?:my|an?|the|our|your) (?:[\\w'’-]+ ){0,3}(?:presentation|slides)",
            "presentation (?:cover|background|image|picture|visual)",
            "(?:channel|cover) art for (?:my |a |our )?(?:youtube|channel)",
        ),
    ),
    (
        _SQUARE,
        _phrases(
            r"square(?= (?:images?|pictures?|photos?|format|crop|canvas|aspect|ratio|shape|painting|"
            r"poster|print|"
            r"icon|logo|tile|avatar|album|sticker|composition|artwork)\b)",
            "avatar",
            "profile (?:picture|photo|pic)",
            "icon",
            "album (?:cover|art)",
            "for (?:the|my|our|an?) album",
            "sticker",
            "emotes?",
            "seamless(?: \\w+)? (?:pattern|texture|tile)",
            "(?:tileable|repeating|fabric) pattern",
            "pattern for (?:a|an|my|our|the) (?:\\w+ )?(?:fabric|textile|dress|shirt|wrapping)\\b(?: \\w+)?",
        ),
    ),
    (
        _TALL,
        _phrases(
            "portrait" + _FORMAT,
            "vertical",
            "upright" + _FORMAT,
            "tall" + _FORMAT,
            "poster",
            "(?:book|magazine|paperback|novel) cover",
            "cover(?: illustration| art| image| design)? for (?:(?:an?|my|our|the) )?(?:[\\w-]+ ){0,4}"
            "(?:novel|book|story|thriller|memoir|magazine|zine)",
            "(?:tarot|trading) cards?",
            "affiche|cartel (?:de|del|para)|póster|cartaz|locandina|plakate?|plakat[uy]?|afiş|плакат",
        ),
    ),
    (_TALL, re.compile(r"ポスター|海报|海報|포스터")),
    (
        _SQUARE,
        re.compile(
            r"(?:(?<=[,;.:\n])|^)[ \t]*+(?:in |make it )?(?:a )?square(?=[ \t]*+(?:[,;.:\n]|$|please|pls))",
            re.I,
        ),
    ),
    (_TALL, re.compile(r"(?:(?<=[,;.:\n])|^)[ \t]*+(?:in )?upright(?=[ \t]*+(?:[,;.:\n]|$))", re.I)),
    ((16, 9), _SLIDE),
    (_WIDE, _phrases("landscape" + _FORMAT, "horizontal", "wide" + _FORMAT)),
)
"""Words that ask for a shape, the most particular first; width and height as parts."""
SUBJECTS: _Shapes = (
    ((21, 9), _phrases("panorama", "panoramic", "ultra ?wide")),
    ((16, 9), _phrases("wallpaper", "banner")),
    (_TALL, _phrases("portrait", "full[- ]body")),
    (_WIDE, _phrases("landscape", "wide shot", "cityscape", "seascape")),
)
"""Words that may as well name the subject or praise the picture: of the images whose prompt says
"wallpaper", 13 % are wide, where 11 % of the others are."""

_SHAPE = _phrases(
    "(?:"
    + _UPRIGHT
    + "|"
    + _LYING
    + "|square|widescreen|ultra-?wide|story|letter)(?:[- ]size)?"
    + _FORMAT
    + "(?: ratio)?",
    "(?:" + _UPRIGHT + "|" + _LYING + ") " + _SHEET,
    _SHEET + "(?: in)? (?:" + _UPRIGHT + "|" + _LYING + ")",
    _SHEET + r"(?=\s*+[,;:.]|$| for print)",
    "twice as (?:wide|tall|high) as (?:it is |it's )?(?:tall|high|wide)",
    "us letter|letter[- ]size",
)
"""Shapes that say nothing else."""

EXACT = (_RATIO, _BARE_RATIO, _SHAPE, _SLIDE)
"""Patterns of what says a shape and nothing about what is in the picture."""


def aspect_of(text: str) -> tuple[tuple[int, int] | None, bool]:
    """Width and height as parts, and whether they are no more than likely."""
    found = _RATIO.search(text)
    if found is None and (bare := _BARE_RATIO.search(text)):
        wide, tall = map(int, bare[1].split(":"))
        return (wide, tall), False
    if found and int(found[1]) and int(found[2]) and 1 / 4 <= int(found[1]) / int(found[2]) <= 4:
        return (int(found[1]), int(found[2])), False
    for shapes, leaning in ((FORMATS, False), (SUBJECTS, True)):
        shape = next((shape for shape, pattern in shapes if pattern.search(text)), None)
        if shape:
            return shape, leaning
    return None, False
