"""Wishes: what a prompt says about the call itself, in plain English or A1111's infotext.

In: the user's text. Out: :class:`Wishes`, each field None where nothing was said. The words stay in the
prompt (people write "portrait" for the picture too), except for the infotext lines ("Negative prompt: …",
"Steps: 20, Sampler: …") that A1111 and Civitai put below a prompt, which are no words of it.

    wishes("a fox, wallpaper for my phone, 30 steps")  -> aspect 9:16, steps 30
    wishes("a castle, 1024x768, SDXL")                 -> size (1024, 768), base_model "sdxl"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from diffagent.agent.targets import infotext
from diffagent.data.base_models import requests
from diffagent.data.errors import BadInput
from diffagent.data.records import SIDE_MAX, SIDE_MIN, legal_side
from diffagent.data.samplers import SAMPLERS
from diffagent.data.samples import sampler_name

_SIZE = re.compile(
    r"(?<![\w.])(\d{2,5})\s?(?:x|×|\*|by)\s?(\d{2,5})(?!\w|\.\d|\s?(?:m|cm|mm|ft|feet|inch(?:es)?)\b)", re.I
)
_RATIO = re.compile(
    r"(?:--ar\s++|\b(?:aspect(?: ratio)?(?: of)?|ratio)\s*+(?::\s*+)?)(\d{1,2})\s?[:x/]\s?(\d{1,2})\b", re.I
)
_BARE_RATIO = re.compile(r"(?<![\w:.])(1:1|2:3|3:2|3:4|4:3|4:5|5:4|9:16|16:9|9:21|21:9)(?![\w:])")
_STEPS = re.compile(r"\b(\d{1,4})\s+(?:sampling\s+)?steps\b|\b(?:sampling )?steps\s*[:=]\s*(\d{1,4})\b", re.I)
_CFG = re.compile(
    r"\b(?:cfg(?:[ _-]?scale)?|guidance(?:[ _-]?scale)?)\s*+(?:(?:of|[:=])\s*+)?(\d{1,3}(?:\.\d{1,3})?)\b",
    re.I,
)
_SEED = re.compile(r"\bseed\s*+(?:(?:of|[:=])\s*+)?(\d{1,10})\b", re.I)
_CLIP = re.compile(r"\bclip[ _-]?skip\s*+(?:(?:of|[:=])\s*+)?(\d{1,2})\b", re.I)
_SAMPLER = re.compile(
    r"\b(?:sampler|sampling method|using|with)\s*+(?:[:=]\s*+)?(?:the\s++)?("
    + "|".join(re.escape(name) for name in sorted(SAMPLERS, key=len, reverse=True))
    + r")(?![\w+])",
    re.I,
)

_LORA = re.compile(r"\b(?:use|using|with|as)\s+an?\s+lora\b", re.I)
_CHECKPOINT = re.compile(r"\b(?:use|using|with)\s+an?\s+(?:full )?checkpoint\b", re.I)

_TALL, _WIDE, _SQUARE = (2, 3), (3, 2), (1, 1)
_PHONE = r"(?:phone|mobile|iphone|android|smartphone|lock ?screen)"
_COMPUTER = r"(?:desktop|laptop|pc|computer|monitor|tv)"
_FOR = r"(?:wallpaper|background)s? for (?:(?:my|an?|the) )?(?:\w+ )?"


def _phrases(*alternatives: str) -> re.Pattern[str]:
    return re.compile(r"\b(?:" + "|".join(alternatives) + r")\b", re.I)


_Shapes = tuple[tuple[tuple[int, int], re.Pattern[str]], ...]
_FORMAT = " (?:format|orientation|mode|aspect|shape)"

_FORMATS: _Shapes = (
    (
        (9, 16),
        _phrases(_PHONE + " (?:wallpaper|background)", _FOR + _PHONE, "(?:instagram|tiktok) (?:story|reel)"),
    ),
    (
        (16, 9),
        _phrases(
            _COMPUTER + " (?:wallpaper|background)", _FOR + _COMPUTER, "wide ?screen", "(?:web|header) banner"
        ),
    ),
    (
        _SQUARE,
        _phrases("square", "avatar", "profile (?:picture|photo|pic)", "icon", "album cover", "sticker"),
    ),
    (_TALL, _phrases("portrait" + _FORMAT, "vertical", "poster", "(?:book|magazine) cover")),
    (_WIDE, _phrases("landscape" + _FORMAT, "horizontal")),
)
"""Words that ask for a shape, the most particular first; width and height as parts."""
_SUBJECTS: _Shapes = (
    ((21, 9), _phrases("panorama", "panoramic", "ultra ?wide")),
    ((16, 9), _phrases("wallpaper", "banner")),
    (_TALL, _phrases("portrait", "full[- ]body")),
    (_WIDE, _phrases("landscape", "wide shot", "cityscape", "seascape")),
)
"""Words that may as well name the subject or praise the picture: of the images whose prompt says
"wallpaper", 13 % are wide, where 11 % of the others are."""


@dataclass(frozen=True)
class Wishes:
    """What the text asks of the call: ``size`` in pixels, ``aspect`` as (width, height) parts, ``leaning``
    where its word may as well mean the subject ("portrait"); ``base_model`` a family (``sd1``, ``sdxl``);
    ``prompt`` and ``negative_prompt`` without infotext."""

    prompt: str
    negative_prompt: str = ""
    size: tuple[int, int] | None = None
    side: tuple[int | None, int | None] = (None, None)
    """Width or height in pixels where one of them alone is asked for."""
    aspect: tuple[int, int] | None = None
    leaning: bool = False
    sampler: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    seed: int | None = None
    clip_skip: int | None = None
    base_model: str | None = None
    type: str | None = None


def wishes(text: str) -> Wishes:
    """Read the wishes out of a prompt; numbers out of a call's range are not taken as wishes."""
    found = infotext.parse(text)
    prompt = found.prompt
    spoken = f"{prompt}\n{found.line}"
    size = _size(found.line) or _size(prompt)
    aspect, leaning = (None, False) if size else _aspect(prompt)
    return Wishes(
        prompt=prompt,
        negative_prompt=found.negative_prompt,
        size=size,
        aspect=aspect,
        leaning=leaning,
        sampler=_infotext_sampler(found.settings) or _sampler(prompt),
        steps=_whole(_STEPS, spoken, 1, 150),
        cfg_scale=_cfg(spoken),
        seed=_whole(_SEED, spoken, 0, 2**32 - 1),
        clip_skip=_whole(_CLIP, spoken, 1, 12),
        base_model=next((name for name, pattern in requests() if pattern.search(prompt)), None),
        type="LoRA" if _LORA.search(prompt) else "Checkpoint" if _CHECKPOINT.search(prompt) else None,
    )


def overridden(
    spoken: Wishes,
    *,
    negative_prompt: str = "",
    width: int | None = None,
    height: int | None = None,
    sampling_method: str | None = None,
    scheduler: str | None = None,
    **numbers: int | float | None,
) -> Wishes:
    """Returns the wishes with options in their place; ``numbers`` are fields of :class:`Wishes` or None.

    Raises:
        BadInput: there is no such sampler, or not with that schedule.
    """
    wished = replace(spoken, negative_prompt=negative_prompt)
    if width and height:
        wished = replace(wished, size=(width, height), aspect=None)
    elif spoken.size and (width or height):
        wished = replace(wished, size=(width or spoken.size[0], height or spoken.size[1]), aspect=None)
    elif width or height:
        wished = replace(wished, size=None, aspect=None, side=(width, height))
    if sampling_method or scheduler:
        wished = replace(wished, sampler=_named_sampler(sampling_method, scheduler))
    given = {name: value for name, value in numbers.items() if value is not None}
    return replace(wished, **given)  # type: ignore[arg-type]


def _named_sampler(sampling_method: str | None, scheduler: str | None) -> str:
    if sampling_method is None:
        raise BadInput(
            f"scheduler is {scheduler!r}, but a schedule goes with a sampler: give sampling_method"
        )
    name = sampler_name(sampling_method, scheduler)
    if name is None:
        both = sampling_method if scheduler is None else f"{sampling_method} with the schedule {scheduler}"
        raise BadInput(f"sampling_method is {both!r}, which is not known; known are {', '.join(SAMPLERS)}")
    return name


def without_wishes(text: str) -> str:
    """The text without the phrases that :func:`wishes` reads, whether their numbers are in range or not."""
    said = (_SIZE, _RATIO, _BARE_RATIO, _STEPS, _CFG, _SEED, _CLIP, _SAMPLER, _LORA, _CHECKPOINT)
    for pattern in (
        *said,
        *(found for _, found in requests()),
        *(found for _, found in (*_FORMATS, *_SUBJECTS)),
    ):
        text = pattern.sub(" ", text)
    return text


def _size(text: str) -> tuple[int, int] | None:
    for found in _SIZE.finditer(text):
        width, height = int(found[1]), int(found[2])
        if min(width, height) >= SIDE_MIN and max(width, height) <= 2 * SIDE_MAX:
            shrink = min(1.0, SIDE_MAX / max(width, height))
            return legal_side(width * shrink), legal_side(height * shrink)
    return None


def _aspect(text: str) -> tuple[tuple[int, int] | None, bool]:
    """Width and height as parts, and whether they are no more than likely."""
    found = _RATIO.search(text)
    if found is None and (bare := _BARE_RATIO.search(text)):
        wide, tall = map(int, bare[1].split(":"))
        return (wide, tall), False
    if found and int(found[1]) and int(found[2]) and 1 / 4 <= int(found[1]) / int(found[2]) <= 4:
        return (int(found[1]), int(found[2])), False
    for shapes, leaning in ((_FORMATS, False), (_SUBJECTS, True)):
        shape = next((shape for shape, pattern in shapes if pattern.search(text)), None)
        if shape:
            return shape, leaning
    return None, False


def _infotext_sampler(settings: Mapping[str, str]) -> str | None:
    named = {name.casefold(): value for name, value in settings.items()}
    return sampler_name(named.get("sampler"), named.get("schedule type"))


def _sampler(prompt: str) -> str | None:
    found = _SAMPLER.search(prompt)
    known = {name.casefold(): name for name in SAMPLERS}
    return known[found[1].casefold()] if found else None


def _whole(pattern: re.Pattern[str], text: str, low: int, high: int) -> int | None:
    for found in pattern.finditer(text):
        value = int(next(group for group in found.groups() if group))
        if low <= value <= high:
            return value
    return None


def _cfg(text: str) -> float | None:
    values = (float(found[1]) for found in _CFG.finditer(text))
    return next((value for value in values if 1 <= value <= 30), None)
