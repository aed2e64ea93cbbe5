"""The media that a request asks for, as opposed to objects in the picture.

    requested_media("a painting of a lake")               -> (Mention("digital painting", "painting", 2),)
    requested_media("a map of an island")                 -> (Mention("map", "map", 2),)
    requested_media("two children looking at a map")      -> ()

In: a request. Out: its :func:`~diffagent.data.media.named_media` without objects that somebody holds, reads,
looks at or makes, or that hang, lie or stand somewhere; and generic words such as "painting" or "print",
which are too vague for that vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from diffagent.data.attributes import Medium
from diffagent.data.foreign_media import foreign_media
from diffagent.data.media import Mention, named_media

_OF = r"(?=\s+(?:of|showing|depicting|featuring|about|by|where|in which)\b)"
_PERSON = (
    r"(?:wo)?m[ae]n|girls?|boys?|child(?:ren)?|kids?|lad(?:y|ies)|guys?|artists?|painters?|persons?|people|"
    r"students?|couples?|robots?|cats?|dogs?|monkeys?|bears?|elephants?|s?he|they|who|is|are|was|were|i|we"
)
"""Subjects of "painting"."""
PLAIN: Mapping[Medium, re.Pattern[str]] = {
    "oil painting": re.compile(
        r"\b(?:dutch|flemish|baroque|classical|vanitas)\s+(?:\w+\s+)?(?:still[- ]life|portrait)\b|"
        r"\b(?:dutch|flemish|old) masters?\b|\bdutch golden age\b|\bvanitas\b|\btenebris[mt]\w*|\bsfumato\b|"
        r"\bimpasto\b|\bcaravaggi\w+|\bvermeer\b|\bsargent\b(?= style)|"
        r"\bacrylics?(?: painting)?\b(?! nails?)|"
        r"\btempera\b",
        re.I,
    ),
    "ink": re.compile(
        r"\bink(?=[ -](?:and|&)[ -](?:wash|watercolou?r|gouache|pastel|charcoal|pencil))|"
        r"\b(?:ink[ -])?brush painting\b|\bink (?:\w+ )?(?:painting|sketch|drawing|illustration|portrait)\b|"
        r"(?<=[,;] )(?:black )?ink(?=\s{0,2}(?:$|[,.;]))|\bcalligraphy painting\b",
        re.I,
    ),
    "digital painting": re.compile(
        rf"\bpaintings?{_OF}|"
        rf"(?:^|[,;:.(\n]\s{{0,2}}|\b(?:as|like) )(?:an? |the )?"
        rf"(?:(?!(?:{_PERSON})\b)[\w'’-]{{1,30}} ){{0,3}}?"
        rf"(?<!\bface )(?<!\bbody )painting(?: style)?(?=\s{{0,2}}(?:$|[,;:.)!?\n]))|"
        r"[,;.]\s{0,2}(?:hand-?)?painted(?=\s{0,2}(?:$|[,;.)!?]))|"
        r"\bsomething painted\b|\bpainted (?:look|style|feel)\b|"
        r"\bpeinture\b|\bgemälde\b|\bcuadro\b|\bpintura\b|\bdipinto\b|\bкартина\b|絵画",
        re.I,
    ),
    "woodcut": re.compile(
        r"\b(?:block|relief|letterpress|intaglio)[ -]prints?\b|\blithograph\w*|\baquatints?\b|\bmonotypes?\b|"
        r"\bprintmaking\b|\bmonoprints?\b",
        re.I,
    ),
}
"""Medium → words that request it, but are too vague to describe a model."""
_STILL_LIFE = re.compile(r"\bstill[- ]life\b", re.I)
_ART_TERMS = re.compile(
    r"\b(?:baroque|rococo|chiaroscuro|renaissance|romanticism|old master|brush ?strokes?|canvas|varnish)\b",
    re.I,
)
"""Terms of painting that also describe photos; two of them mean a painting."""

_DETERMINER = (
    r"(?:an?|the|this|that|these|his|her|their|its|my|our|your|some|two|three|four|five|several|many|more|"
    r"another|one|no)"
)
_ADJECTIVE = (
    r"(?:old|new|big|small|little|large|tiny|huge|giant|vintage|antique|ancient|worn|faded|torn|framed|folded|"
    r"rolled|crumpled|dusty|open|half-finished|unfinished|finished|favou?rite|beautiful|famous|funny|secret|"
    r"red|blue|green|yellow|pink|purple|orange|brown|golden|gold|silver|black|white|gr[ae]y|colou?rful|"
    r"abstract|family|superhero|wooden|stone|marble|glass)"
)
_THING = rf"(?:{_DETERMINER}\s+)?(?:{_ADJECTIVE}\s+){{0,3}}"
_ANY_THING = (
    rf"(?:{_DETERMINER}\s+)?(?:(?!(?:in|on|of|as|at|with|and|for|like|by|to|from|style)\b)[\w'’-]+\s+){{0,2}}"
)
_READS = (
    r"(?:reads?|reading|(?:leaf|flipp?|brows|look|pag)(?:s|ing)? through|browsing|studying|unroll(?:s|ing))"
)
_HANDLES = (
    r"(?:hold(?:s|ing)?|carr(?:y|ies|ying)|watch(?:es|ing)?|look(?:s|ing)? at|star(?:es|ing) at|"
    r"point(?:s|ing) (?:at|to)|gaz(?:es|ing) at|admir(?:es|ing)|examin(?:es|ing)|bu(?:ys?|ying)|"
    r"sell(?:s|ing)?|hang(?:s|ing)? (?:up)?|show(?:s|ing) (?:off )?|fold(?:s|ing)|hug(?:s|ging)|"
    r"clutch(?:es|ing)|collect(?:s|ing)|play(?:s|ing) with|work(?:s|ing) on|"
    r"sew(?:s|ing)|build(?:s|ing)|clean(?:s|ing)|restor(?:es|ing)|steal(?:s|ing)|"
    r"consult(?:s|ing)|peel(?:s|ing)|tap(?:es|ing)|pin(?:s|ning)|eat(?:s|ing)|sit(?:s|ting) on)"
)
_BESIDE = (
    r"(?:in front of|next to|beside|behind|beneath|underneath|near|opposite|surrounded by|"
    r"covered (?:in|with)|"
    r"full of|filled with|between|past|against|under)"
)
_A_THING = rf"{_DETERMINER}\s+(?:{_ADJECTIVE}\s+){{0,3}}"
_READ = re.compile(rf"\b{_READS}\s+{_ANY_THING}$", re.I)
_HELD = re.compile(
    rf"\b(?:(?:{_HANDLES}|{_BESIDE})\s+{_THING}|(?:paint|draw|sketch|mak|design)(?:e?s|ing)\s+{_A_THING})$",
    re.I,
)
_HAS = re.compile(rf"\b(?:with|has|have|having|photo(?:graph)?s? of)\s+{_A_THING}$", re.I)
_HAVE = re.compile(rf"\b(?:with|has|have|having|and)\s+(?:{_ADJECTIVE}\s+){{0,3}}$", re.I)
_WITH = re.compile(r"\b(?:with|has|having)\s+(?:an?\s+|the\s+)?(?:[\w'’-]+\s+){1,2}$", re.I)
_A = re.compile(rf"\b{_A_THING}$", re.I)
_HEAD = re.compile(
    r"\s{0,2}(?:$|[.,;:!?)\]\n]|(?:book|album|page|magazine|volume|show|movie|film|series|strip|panel|print|"
    r"window|wall|board)s?\b|"
    r"(?:on|in|at|by|with|and|while|from|to|for|under|over|near|as|is|are|that|which|who|through|behind|"
    r"before|about|of|next|above|across|along|around|onto|into|between|past|beside|up|down|inside|during|against|together|upside|hanging|lying|leaning|"
    r"framed)\b)",
    re.I,
)
"""What may follow a medium's noun; before another noun it only qualifies that one."""
_HANGS = re.compile(
    rf"s?\s{{1,2}}(?:(?:is|are|was)\s{{1,2}})?(?:(?:hanging|hung|pinned|taped|stuck|displayed|leaning|lying|propped|placed|"
    rf"mounted|nailed|framed)\s+)?(?:on|above|over|against|near|behind|by|across)\s+{_THING}(?:\w+\s+)?"
    r"(?:walls?|table|desk|shel(?:f|ves)|easel|door|fridge|refrigerator|floor|bed|sofa|couch|fireplace|"
    r"mantelpiece|counter|nightstand|window ?sill|ceiling|locker|bench|laptop|suitcase|piano|dresser|"
    r"screen|tv|television|arm|back|shoulder|chest|leg|neck)\b",
    re.I,
)
_LOOSE: frozenset[Medium] = frozenset(
    (
        "photo", "analog photo", "comic", "manga", "children's book", "map", "poster", "sticker", "tattoo",
        "logo",
        "icon", "cartoon", "anime", "watercolor", "oil painting", "digital painting", "pencil sketch",
        "illustration", "collage", "pattern", "woodcut", "textile", "sculpture",
    )
)  # fmt: skip
"""Media that may be objects in a picture."""
_READABLE: frozenset[Medium] = frozenset(
    ("photo", "comic", "manga", "children's book", "map", "poster", "illustration", "cartoon")
)
_PIECES: frozenset[Medium] = frozenset(
    ("sculpture", "poster", "sticker", "map", "tattoo", "logo", "comic", "manga", "oil painting", "photo",
     "digital painting")
)  # fmt: skip
"""Media that somebody or something may have: "with a tattoo", "buildings and statues"."""
_TOOL = re.compile(
    r"[ -](?:albums?|frames?|booths?|cameras?|easels?|brush(?:es)?|racks?|pads?|bucket|cans?)\b", re.I
)
"""Containers and tools of a medium."""
_WORN = re.compile(
    r"\s{1,2}(?:\w{1,30}\s{1,2})?(?:sweaters?|jumpers?|scar(?:f|ves)|hats?|caps?|beanies?|gloves?|mittens?|socks?|blankets?|"
    r"cardigans?|dress(?:es)?|skirts?|bags?|baskets?|rugs?|carpets?|cushions?|pillows?|vests?|shawls?|curtains?|"
    r"ponchos?|coats?|jackets?|slippers?)\b",
    re.I,
)
"""Cloth in a picture of any medium."""
_DOES = re.compile(
    rf"\b(?:{_PERSON}|(?:grand)?(?:mother|father|ma|pa)|witch|queen|king)\s+(?:\w+ly\s+)?$", re.I
)
_DOING = re.compile(r"(?:knitting|carving|drawing|sketching)", re.I)
_DONE = re.compile(
    rf"\s{{1,2}}(?:{_DETERMINER}|in|at|on|with|by|under|together|outside|outdoors)\b|\s{{0,2}}(?:$|[,.;!?])",
    re.I,
)
_ELSEWHERE = re.compile(
    r"\b(?:botanical gardens?|(?:horse|ox|dog|donkey)[- ]drawn|drawn (?:sword|curtains?|bow|by|to|into)|"
    r"editorial (?:team|office)|(?:skin|fur|hair|fabric|wood|stone|paper|film|rough|surface|soft|rich|"
    r"detailed|high(?:ly detailed)?|intricate) (?:\w+ )?texture|kitchen blender|blender (?:on|of|full)|"
    r"(?:frost|light|wave|sand|feather|leaf|ripple|wing|floor|shadow|tile) patterns?|patterns (?:on|in|of)|"
    r"religious icons?|fashion icon|pop icon|carved (?:\w+ )?(?:doors?|pumpkins?|furniture|wood|beams?))\b",
    re.I,
)
"""Phrases in which a medium's word means something else."""


def requested_media(text: str) -> tuple[Mention, ...]:
    """Returns the media that a request asks for, in order."""
    return split_media(text)[0]


def split_media(text: str) -> tuple[tuple[Mention, ...], tuple[Mention, ...]]:
    """Returns the media that a request asks for, and those that are objects in the picture, each in order."""
    requests: list[Mention] = []
    things: list[Mention] = []
    for mention in (*named_media(text), *_plain(text)):
        if not any(_overlap(mention, other) for other in (*requests, *things)):
            (things if _is_shown(text, mention) else requests).append(mention)
    if len({mention.medium for mention in requests}) > 1:  # a drawing may have film grain too
        requests = [mention for mention in requests if mention.words.casefold() != "film grain"]
    if not any(mention.medium != "photo" for mention in requests):
        requests += [mention for mention in foreign_media(text) if not _is_known(mention, requests, things)]
    if not requests and (still := _STILL_LIFE.search(text)):
        requests.append(Mention("oil painting", still[0], still.start()))
    terms = list(_ART_TERMS.finditer(text))
    if not requests and len({term[0].casefold() for term in terms}) > 1:
        requests.append(Mention("oil painting", terms[0][0], terms[0].start()))
    return tuple(sorted(requests, key=_start)), tuple(sorted(things, key=_start))


def _plain(text: str) -> Iterator[Mention]:
    """Yields the generic words for a medium."""
    for medium, pattern in PLAIN.items():
        for match in pattern.finditer(text):
            words = match[0].strip(" ,;:.(\n")
            yield Mention(medium, words, text.index(words, match.start()))


def _is_known(mention: Mention, requests: list[Mention], things: list[Mention]) -> bool:
    """Whether a mention overlaps another, or names a medium that is asked for already."""
    return any(_overlap(mention, other) for other in (*requests, *things)) or any(
        mention.medium == other.medium for other in requests
    )


def _start(mention: Mention) -> int:
    return mention.start


def _overlap(first: Mention, other: Mention) -> bool:
    return first.start < other.start + len(other.words) and other.start < first.start + len(first.words)


def _is_shown(text: str, mention: Mention) -> bool:
    """Whether a mention is an object or an activity in the picture."""
    before, after = text[: mention.start], text[mention.start + len(mention.words) :]
    if mention.medium == "textile" and _WORN.match(after):
        return True
    if _DOING.fullmatch(mention.words):
        return bool(_DOES.search(before) and _DONE.match(after))
    end = mention.start + len(mention.words)
    if any(match.start() < end and mention.start < match.end() for match in _ELSEWHERE.finditer(text)):
        return True
    if _TOOL.match(after):
        return True
    if mention.medium not in _LOOSE or not _HEAD.match(after):
        return False
    are_many = mention.words.endswith("s") or after[:1] == "s"
    if _HELD.search(before) or (_HANGS.match(after) and (are_many or _A.search(before))):
        return True
    if mention.medium in _READABLE and _READ.search(before):
        return True
    has_one = bool((_HAVE if are_many else _HAS).search(before))
    return mention.medium in _PIECES and (has_one or bool(_WITH.search(before)))
