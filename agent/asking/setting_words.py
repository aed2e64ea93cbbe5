"""Setting words: settings in a message's pieces about the call, in anybody's words.

    setting_words(["like 4 pics of", "3 times wider than tall", "same seed as always (424242)"])
      -> n 4, aspect (3, 1), seed 424242

A piece is known to be about settings (:mod:`diffagent.agent.asking.pieces`), so that a number beside a word
is enough; :mod:`diffagent.agent.asking.wishes` reads whole prompts, where words may as well be the picture's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from diffagent.agent.asking.counts import MOST_OF_THEM, NUMBERS, number
from diffagent.agent.asking.shapes import aspect_of
from diffagent.agent.asking.wishes import FEW, scale, whole
from diffagent.data.records import STEPS_MAX

_MOST_PICTURES = 16
_COUNT = rf"(?P<count>\d{{1,2}}|{'|'.join(sorted(NUMBERS, key=len, reverse=True))})"
_PICTURES = re.compile(
    rf"\b{_COUNT}(?:\s*x)?(?: (?!for|of|in|on|the|as)[\w'’-]{{1,15}}){{0,2}} "
    r"(?:versions?|variations?|variants?|images?|pictures?|pics?|photos?|options?|ones|takes|tries|copies|"
    r"drafts|alternatives|samples|of (?:it|them|this|that|these)|to (?:pick|choose|select))\b"
    r"|\bx ?(?P<times>\d{1,2})\b|\bbatch(?: size)?(?: of|:)? (?P<batch>\d{1,2})\b",
    re.I,
)
_FILLER = r"(?:just|only|like|about|maybe|or so|do|make|me|i need|i want|please|pls|plz|thanks|thx)"
_ALONE = re.compile(
    rf"\W*(?:{_FILLER}\W+)+{_COUNT}(?:\W+{_FILLER})*\W*|"
    rf"\W*{_COUNT.replace('<count>', '<pleaded>')}(?:\W+{_FILLER})+\W*",
    re.I,
)
_ONE = re.compile(
    r"\b(?:one|1|single)(?: \w+)? (?:only|picture|image|pic|is enough|is fine)\b|\bjust one\b", re.I
)
_RATIO = re.compile(
    r"(?<![\w.:])(\d{1,2}(?:\.\d{1,2})?) ?(?::|/|to|by|x) ?(\d{1,2}(?:\.\d{1,2})?)(?![\w:])", re.I
)
_FILM = re.compile(
    r"\b(?:(?:really|super|very|extra|ultra) ?-?wide|ultrawide|cinema ?scope|cinema (?:screen|format)|"
    r"like (?:in )?(?:a |the )?cinema|panoram\w+)\b",
    re.I,
)
_PHONE = re.compile(
    r"\bphone(?:['’]s)? (?:shape|format|size|screen|bg|background)|\bfor (?:my |a )?phone\b", re.I
)
_TIMES = NUMBERS | {"double": 2}
_PROPORTION = re.compile(
    r"\b(?P<times>\d(?:\.\d)?|twice|double|thrice|two|three|four)(?: times| x|x)? (?:as |the )?"
    r"(?:(?P<wide>wide|wider|long|longer|width)|(?P<tall>tall|taller|high|higher|height))\b",
    re.I,
)
_STEPS = re.compile(r"\b(\d{1,3})\D{0,14}\bsteps?\b|\bsteps?\b\D{0,10}\b(\d{1,3})\b", re.I)
_FEW = re.compile(
    r"\b(?:low|few|fewer|less|minimal|minimum) (?:\w+ )?steps?\b|\bsteps? low\b|"
    r"\b(?:quick|rough|fast) draft\b",
    re.I,
)
_SEED = re.compile(
    r"\bseed\b(?:[^,.;!?\n\d]{0,24}|[^.;!?\n\d]{0,40}(?:is|was|=|:|\()\s?)(?<!-)(\d{1,10})\b(?!\s?steps?)|"
    r"\b(\d{2,10}) (?:as|for) (?:the )?seed\b",
    re.I,
)
_GUIDANCE = re.compile(
    r"\b(?:cfg|guidance)\b\D{0,14}(\d{1,2}(?:\.\d{1,2})?)\b|\b(\d{1,2}(?:\.\d)?) (?:cfg|guidance)\b", re.I
)
_ROOM = re.compile(
    r"\b(?:room|space|area|title|headline|clock|blank|empty|emptiness|free|clear|dark|calm|quiet|plain|nothing|clean|simple)\b",
    re.I,
)
_PLACE = re.compile(
    r"\b(?:(?P<at>top|bottom|left|right|upper|lower|middle|cent(?:er|re)|side|edges?|corner)\b)", re.I
)
_PLACES = {
    "top": "at the top", "upper": "at the top", "bottom": "at the bottom", "lower": "at the bottom",
    "left": "on the left", "right": "on the right", "side": "at the side", "corner": "in the corner",
    "middle": "in the middle", "center": "in the middle", "centre": "in the middle",
}  # fmt: skip
T = TypeVar("T")


@dataclass(frozen=True)
class SettingWords:
    """The settings in pieces; None or empty where they have none."""

    n: int | None = None
    aspect: tuple[int, int] | None = None
    shape: tuple[int, int] | None = None
    """An aspect by a word of shape: "landscape", "widescreen"."""
    steps: int | None = None
    seed: int | None = None
    cfg_scale: float | None = None
    room: str = ""
    """The part of the picture that stays empty, in photographers' words: "copy space at the top"."""


NO_SETTINGS = SettingWords()


def setting_words(pieces: Sequence[str]) -> SettingWords:
    """Returns the settings in pieces; the first value in range of each counts."""
    return SettingWords(
        n=_first(_n, pieces),
        aspect=_first(_aspect, pieces),
        shape=_first(lambda piece: aspect_of(piece)[0], pieces),
        steps=_first(_steps, pieces),
        seed=_first(lambda piece: whole(_SEED, piece, 0, 2**32 - 1), pieces),
        cfg_scale=_first(lambda piece: scale(_GUIDANCE, piece), pieces),
        room=_first(_room, pieces) or "",
    )


def _first(reader: Callable[[str], T | None], pieces: Iterable[str]) -> T | None:
    return next((value for piece in pieces if (value := reader(piece)) is not None), None)


def _n(piece: str) -> int | None:
    if _ONE.search(piece):
        return 1
    hit = _PICTURES.search(piece) or _ALONE.fullmatch(piece)
    if hit is None:
        return None
    n = number(next(words for words in hit.groupdict().values() if words))
    if n > MOST_OF_THEM and hit[0].endswith(("of them", "of these")):
        return None
    return n if 1 < n <= _MOST_PICTURES else None


def _aspect(piece: str) -> tuple[int, int] | None:
    for hit in _RATIO.finditer(piece):
        wide, tall = float(hit[1]), float(hit[2])
        if wide and tall and 1 / 4 <= wide / tall <= 4:
            return _parts(wide, tall)
    proportion = _PROPORTION.search(piece)
    if proportion is None:
        return (9, 16) if _PHONE.search(piece) else (21, 9) if _FILM.search(piece) else None
    times = _TIMES.get(proportion["times"].casefold()) or float(proportion["times"])
    if not 1 <= times <= 4:
        return None
    return _parts(times, 1) if proportion["wide"] else _parts(1, times)


def _parts(wide: float, tall: float) -> tuple[int, int]:
    return (
        (int(wide), int(tall))
        if wide == int(wide) and tall == int(tall)
        else (round(100 * wide), round(100 * tall))
    )


def _steps(piece: str) -> int | None:
    return whole(_STEPS, piece, 1, STEPS_MAX) or (FEW if _FEW.search(piece) else None)


def says_room(piece: str) -> bool:
    """Whether a piece about settings is about room that stays empty."""
    return bool(_ROOM.search(piece) and _PLACE.search(piece))


def _room(piece: str) -> str | None:
    if not _ROOM.search(piece):
        return None
    place = _PLACE.search(piece)
    return f"copy space {_PLACES.get(place['at'].casefold(), '')}".rstrip() if place else None
