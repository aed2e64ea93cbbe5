"""Wishes: what a prompt asks of the call itself, in plain English or A1111's infotext.

In: the user's text. Out: :class:`Wishes`, fields None by default. The words stay in the
prompt here (:mod:`diffagent.agent.asking.phrasing` takes out what is not drawn), except for the infotext
lines ("Negative prompt: …", "Steps: 20, Sampler: …") that A1111 and Civitai put below a prompt.

    wishes("a fox, wallpaper for my phone, 30 steps")  -> aspect 9:16, steps 30
    wishes("a castle, 1024x768, SDXL")                 -> size (1024, 768), base_model "sdxl"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from diffagent.agent.asking.cutting import masked, without
from diffagent.agent.asking.shapes import EXACT, FORMATS, SUBJECTS, aspect_of, exact_spans
from diffagent.data.base_model_requests import base_model_requests
from diffagent.data.checkpoint_requests import checkpoint_requests
from diffagent.data.errors import BadInput
from diffagent.data.metadata import infotext
from diffagent.data.records import CFG_MAX, SIDE_MAX, SIDE_MIN, STEPS_MAX, legal_side
from diffagent.data.samplers import SAMPLING_METHODS, SCHEDULERS, join, read, unknown_sampler

_SIZE = re.compile(
    r"(?:\b(?:resolution|size|dimensions?|format)\s?[:=]\s?)?(?<![\w.])(\d{2,5})\s?(?:(?:px|pixels?|"
    r"w)\s?)?(?:x|×|\*|by)\s?(\d{2,5})h?"
    r"(?!\w(?<!p)|\.\d|\s?(?:m|cm|mm|ft|feet|inch(?:es)?)\b)(?:px\b)?",
    re.I,
)
_SIDES = re.compile(
    r"\bwidth\s?[:=]?\s?(?:of )?(\d{2,5})(?:\s?(?:px|pixels))?(?:,|;)?\s?(?:and |by |x )?(?:a "
    r")?height\s?[:=]?\s?(?:of )?(\d{2,5})(?:\s?(?:px|pixels)\b)?(?!\w)|"
    r"(?<![\w.])(\d{3,5})\s?(?:px |pixels )?(?:wide|in width|across)(?:,| and|, and| by| x)? "
    r"(\d{3,5})\s?(?:px |pixels )?(?:tall|high|in height)\b|"
    r"\bw\s?[:=]?\s?(\d{3,4})\s?,?\s?(?:x\s?)?h\s?[:=]?\s?(\d{3,4})\b",
    re.I,
)
"""Width and height by name."""
_SOFT = re.compile(
    r"(?:\s?px|\s?pixels)?,?\s*(?:if (?:at all )?possible|if you can|ideally|preferably)\b", re.I
)
LARGEST = 2048**2
"""Pixels above which every base model repeats its subject."""
_SQUARE = re.compile(
    r"\b(\d{3,4})\s?(?:px|pixels?)?\s+square\b(?!\s*(?:f|m|k|y|i|c))|"
    r"\bsquare\s+(\d{3,4})(?:\s?(?:px|pixels?))?\b",
    re.I,
)
"""A side of a square: "1024 square"."""
_TENS = {
    "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "twenty-five": 25, "twenty five": 25,
    "thirty": 30, "thirty-five": 35, "thirty five": 35, "forty": 40, "fourty": 40, "fifty": 50, "sixty": 60,
}  # fmt: skip
_UNITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TENS |= {
    f"{ten}{joint}{unit}": _TENS[ten] + value
    for ten in ("twenty", "thirty", "forty", "fourty", "fifty")
    for value, unit in enumerate(_UNITS, 1)
    for joint in ("-", " ")
}
"""Numbers of steps that people write as words."""
_TENS_WORDS = "|".join(sorted(_TENS, key=len, reverse=True))
_SO_MANY = (
    r"(?:[ \t]++(?:an?|is|are|or so|ish|quick(?:ly)?|fast|one|max(?:imum)?|min(?:imum)?|please|pls|"
    r"plz|ok|okay|enough|fine|good|great|plenty|will|should|would|do|works?|be|only|just|total|thanks|thx|tho|though|"
    r"lol|haha|alright|for me|for (?:now|this|it)|at most|at least|if possible|i think|i guess|nothing more|"
    r"no more|draft|test|run)(?![\w'’])){0,6}"
)
"""Words behind a number of steps."""
_BARE_STEPS = re.compile(
    r"(?:(?<=[,;.:!?(\n])|^)[ \t]*+(?:(?:and|with|at|use|using|about|around|like|maybe|just|only|please|pls|"
    rf"do|in|make it|run it (?:at|with|for))[ \t]++){{0,3}}(?:steps[ \t]++(?:about |around |like |to |maybe "
    rf"|= ?)?(\d{{1,3}}|{_TENS_WORDS})|({_TENS_WORDS})[ \t]++(?:sampling )?steps){_SO_MANY}"
    r"(?=[ \t]*+(?:[,;.:!?)\n&]|$))",
    re.I,
)
"""A clause of its own."""
_STEPS = re.compile(
    r"\b(?:\d{1,3}\s?(?:-|–|to|or)\s?)?(\d{1,4})\s+(?:sampling\s+)?steps\b|"
    r"\b(?:(?:sampling |inference )?steps|step count|number of steps)\s*+(?:(?:are|to|at|of|is|"
    r"should be|set to|count)\s++)?(?:[:=]\s*+)?"
    r"(?<=[:=\s])(?<!steps )(\d{1,4})\b|"
    r"\b(\d{1,3})[ -](?:step|sampling steps|inference steps|iterations)\b(?! (?:stair|ladder|"
    r"program|process|guide|plan|recipe))",
    re.I,
)
"""Of a span, "6-8 steps", the upper end."""
_IS = (
    r"(?:(?:of|is|are|to|at|as|be|around|about|should be|must be|set to|set at|number|no\.?|nr\.?|"
    r"value|value of|[:=#~]|->|=>)\s*+){0,3}"
)
_CFG = re.compile(
    rf"\b(?:cfg(?:[ _-]?scale)?|guidance(?:[ _-]?scale)?)\s*+{_IS}(\d{{1,3}}(?:\.\d{{1,3}})?)\b|"
    r"(?<![\w.])(\d{1,2}(?:\.\d{1,3})?)\s(?:cfg|guidance)(?: scale)?\b(?!\s*+[:=\d])",
    re.I,
)
_SEED = re.compile(
    rf"\bseeds?\s*+{_IS}(?<!-)(\d{{1,10}})\b|\b(\d{{1,10}}) (?:as|for) (?:the |a |my )?seed\b",
    re.I,
)
_CLIP = re.compile(rf"\bclip[ _-]?skip\s*+{_IS}-?(\d{{1,2}}|two|one)\b|\bskip clip (\d{{1,2}})\b", re.I)
_EVERYDAY = ("Restart", "Seeds 2", "Seeds 3", "Heun++ 2", "DPM++ 1M")
"""Samplers that a prompt does not name: their words mean something else, or people write another name."""
_EVERYDAY_SCHEDULES = (
    "Simple",
    "Normal",
    "Beta",
    "Turbo",
    "LCM",
    "Phi",
    "Laplace",
    "Smoothstep",
    "Flow Match",
)
"""Schedules that are words of a picture too: they are read at the end of a clause only."""


def _spelled(name: str) -> str:
    """A pattern for the spellings of a name: "DPM++ 2M" as "dpmpp_2m", "dpm plus plus 2m", "DPM++2M"."""
    parts = re.findall(r"\+\+|pp(?![a-z])|[a-z]+|\d+", name.casefold())
    spelled = {
        "++": r"(?:\+\+|pp|\s?plus\s?plus)",
        "pp": r"(?:\+\+|pp|\s?plus\s?plus)",
        "a": "(?:ancestral|a)",
    }
    return r"[ _-]?".join(spelled.get(part, part) for part in parts)


def _spellings(names: Iterable[str]) -> str:
    return "|".join(dict.fromkeys(map(_spelled, sorted(names, key=len, reverse=True))))


_METHODS = set(SAMPLING_METHODS) - set(_EVERYDAY)
_METHOD = rf"(?:k[ _-])?(?:{_spellings({*_METHODS, 'uni pc'})})"
_PLANS = _spellings(set(SCHEDULERS) - set(_EVERYDAY_SCHEDULES)) + "|exp"
_SAMPLER_NAMES = (
    rf"(?P<method>{_METHOD})(?:(?:[ _-]|, |,? ?\(|,? (?:with|and|on|using) (?:an? |the "
    rf")?)(?P<plan>{_PLANS})(?![\w+])"
    rf"(?: schedul(?:e|er|ing))?\)?"
    rf"|[ _](?:with (?:an? |the )?)?(?P<everyday>{_spellings(_EVERYDAY_SCHEDULES)})(?: schedul(?:e|er|ing))?"
    rf"(?=[ \t]*+(?:[,;.:)\n]|$|schedul|at \d|with \d|\d)))?"
)
_SAMPLER = re.compile(
    r"(?:\b(?:sampler|sampling method|sampled|sampling|using|use|with|and|steps|on|max|via)|(?<=\s)&)(?: "
    r"is| with| by| method| on)?\s*+(?:[:=]\s*+)?"
    r"(?:the\s++|max\s++)?" + _SAMPLER_NAMES + r"(?![\w+])(?:\s(?:sampler|sampling)\b)?",
    re.I,
)
_RULED_OUT = re.compile(
    r"\b(?:except(?: for)?|not|no|without|but|than|(?:don['’]?t|do not|never)(?: use)?|avoid)\s"
    r"(?:an?\s|the\s|any\s)?$",
    re.I,
)
_CORRECTED = re.compile(r"\b(?:no,? wait|wait,? no|actually|on second thoughts?)\b[^.!?\n]{0,12}$", re.I)
"""A second thought, which takes precedence over the first."""
_CARD = r"(?:card|v?ram|gpu|laptop)"
_SMALL_CARD = re.compile(
    rf"\b[2-6]\s?gb\b(?=[^.!?\n]{{0,30}}\b{_CARD}\b)|\b{_CARD}[^.!?\n]{{0,24}}\b[2-6]\s?gb\b", re.I
)
_BARE_SAMPLER = re.compile(
    r"(?:(?<=[,;.:(\n])|^)[ \t]*+" + _SAMPLER_NAMES + r"(?:[ \t]sampl(?:er|ing))?"
    r"(?=[ \t]*+(?:[,;.:)\n]|$|(?:at|for|with|x)?[ \t]?\d{1,3}[ \t]?steps?\b|cfg\b|please\b|pls\b))",
    re.I,
)
"""A sampler's name as a clause of its own."""
_INLINE_SAMPLER = re.compile(
    r"(?<=\d )" + _SAMPLER_NAMES + r"(?:[ \t]sampl(?:er|ing))?"
    r"(?=[ \t](?:\d{1,3}[ \t]?steps?\b|steps?[ \t:=]{1,2}\d|cfg\b|seed\b|\d{3,4}x\d{3,4}\b))",
    re.I,
)
"""A sampler's name between two other settings: "seed 42 euler a 25 steps"."""
_PLUS = re.compile(r"\s?plus\s?plus", re.I)
_STAIRS = re.compile(r"\b(?:stair\w*|ladders?|climb\w*|pyramids?|temples?|porch|danc\w+|stone steps)\b", re.I)
"""Things with steps of their own."""
_STEPS_ABROAD = (
    r"(?:pasos|passos|étapes?|etapes|pas|passi|passaggi|schritten?|samplingschritten?|stappen|krok(?:ów|i|ů|y)?|"
    r"шаг(?:ов|а|и)?|крок(?:ів|и)|adım(?:da|lı)?|steg|skridt|trinn|trin|lépés(?:sel|ben)?|"
    r"pași|langkah|bước|hatua|askelta|خطوة|خطوات|צעדים|שלבים|स्टेप्स?|चरण)"
)
_ABROAD_STEPS = re.compile(
    r"(?:(?<=[,;:.!?(\n،])|^)[ \t]*+(?:(?:con|com|avec|mit|met|z|ze|s|с|з|med|ile|dengan|với|cu|in|en|em|w|i|"
    r"y|e|et|und|und bitte|bitte|por favor|na|unos|unas|ca\.?|etwa|environ|circa|około|около)[ \t]++){0,3}"
    rf"(?:(\d{{1,3}})[ \t]*+(?:sampling[ -])?{_STEPS_ABROAD}|"
    rf"{_STEPS_ABROAD}[ \t]*+(?:de muestreo |d['’]échantillonnage )?[:=]?[ \t]*+(\d{{1,3}}))"
    r"(?:[ \t]++(?:de muestreo|de amostragem|d['’]échantillonnage|di campionamento|próbkowania|сэмплирования|"
    r"olsun|bitte|por favor|per favore|proszę|пожалуйста|lütfen|alsjeblieft|reichen|bastan|suffisent|"
    r"bastano|wystarczy|хватит|tack|tak))*+"
    r"(?=[ \t]*+(?:[,;.:!?)\n،]|$))|"
    r"(?:(?<=[,;:.!?(\n，。、；！？])|^)[ \t]*+(?:ステップ数?|步数|步數|스텝)?[:：は]?[ \t]?(\d{1,3})"
    r"[ \t]?(?:ステップ|步|스텝|단계|ขั้นตอน|สเต็ป)(?:で|左右|就好|就行|로|으로|お願いします|でお願いします)?"
    r"(?=[ \t]*+(?:[,;.:!?)\n，。、；！？]|$))",
    re.I,
)
"""Steps in other languages, as a clause of their own."""
_LISTED_STEPS = re.compile(
    r"(?:(?<=[,;(\n])|^)[ \t]*+(\d{1,3}) (?:sampling )?steps(?=[ \t]*+(?:[,;.)\n]|$))", re.I
)
"""Steps in a list of settings, where stairs are in the picture."""
_FAST = re.compile(
    r"(?:\b(?:use|using|with)\s+)?(?:\b(?:an?|the|some)\s+)?\b(?:lcm|turbo|lightning|hyper)"
    r"(?:\s?(?:/|or|and|,)\s?(?:an? )?(?:lcm|turbo|lightning|hyper))+\b(?:\s(?:models?|loras?|checkpoints?))?"
    r"(?:\s(?:if (?:you can|possible|available|there is one)|please|pls))*|"
    r"\b(?:use|using|with) an? (?:turbo|lcm)(?: or (?:turbo|lcm|lightning))? model\b|"
    r"\b(?:(?:use|using|with)\s+)?(?:(?:an?|the)\s+)?(?:lcm|turbo|lightning|hyper)\sloras?\b",
    re.I,
)
"""A wish for a model that is made for few steps."""
_NEGATIVE = re.compile(
    r"(?:^|[\s,.;(|-])(?:negatives?|neg)(?:[ _-]?prompts?)?\s*[:=]\s*(?P<names>[^\n]{1,2000})", re.I
)
"""A pasted negative prompt."""
_POSITIVE = re.compile(r"(?:^|(?<=[\s.,;|]))(?:positives?|pos)(?:[ _-]?prompts?)?\s*[:=]\s*", re.I)
"""The label of the other part."""

_LORA = re.compile(r"\b(?:use|using|with|as)\s+an?\s+lora\b", re.I)
_COMMERCIAL = re.compile(
    r"\b(?:licen[cs]\w*|allow\w*|for|permit\w*|may be) (?:\w+ ){0,2}commercial(?:ly)? us(?:e|ed|age)\b|"
    r"\bcommercial(?:ly)? (?:licen[cs]e|usable)\b",
    re.I,
)
_FEW_STEPS = re.compile(
    r"\b(?:just )?a few steps (?:is|are|will)\b|\b(?:few|low) sampling steps\b|\bnot (?:too )?many steps\b",
    re.I,
)
FEW = 12
"""The steps of a wish for speed: most samplers need as many for a whole picture."""
_CHECKPOINT = re.compile(
    r"\b(?:use|using|with)\s+an?\s+(?:full )?checkpoint\b|\bcheckpoints? only\b|\bonly (?:a )?checkpoints?\b",
    re.I,
)


@dataclass(frozen=True)
class Wishes:
    """A text's wishes for the call: ``size`` in pixels, ``aspect`` as (width, height) parts, ``leaning``
    where its word may mean the subject ("portrait"); ``base_model`` a family (``sd1``, ``sdxl``); ``prompt``
    and ``negative_prompt`` without infotext."""

    prompt: str
    negative_prompt: str = ""
    size: tuple[int, int] | None = None
    oversize: tuple[int, int] | None = None
    """A requested size that cannot be made; its ratio is the ``aspect``."""
    side: tuple[int | None, int | None] = (None, None)
    """Width or height in pixels where only one is requested."""
    aspect: tuple[int, int] | None = None
    leaning: bool = False
    sampler: str | None = None
    steps: int | None = None
    cfg_scale: float | None = None
    seed: int | None = None
    clip_skip: int | None = None
    base_model: str | None = None
    avoided: tuple[str, ...] = ()
    """Families that the words exclude: "anything but SDXL"."""
    small_card: bool = False
    """Whether the words say that the graphics card has at most 6 GB."""
    is_fast: bool = False
    """Whether the words ask for a model that is made for few steps: "lcm or turbo"."""
    type: str | None = None
    commercial: bool = False
    """Whether only models whose images may be sold are asked for."""


def wishes(text: str) -> Wishes:
    """Returns the wishes in a prompt; numbers out of a call's range are not wishes."""
    parts = infotext.parse(text)
    prompt, negative = _negative(parts.prompt)
    settings_text = f"{prompt}\n{parts.line}"
    oversize = _oversize(prompt)
    size = None if oversize else _size(parts.line) or _size(prompt) or _square(prompt)
    aspect, leaning = (oversize, False) if size or oversize else aspect_of(prompt)
    base_model, avoided = _base_models(prompt)
    return Wishes(
        prompt=prompt,
        negative_prompt=", ".join(filter(None, (negative, parts.negative_prompt))),
        size=size,
        oversize=oversize,
        aspect=aspect,
        leaning=leaning,
        sampler=_infotext_sampler(parts.settings) or _sampler(_FAST.sub(" ", prompt)),
        steps=_steps(prompt, parts.line),
        cfg_scale=scale(_CFG, settings_text),
        seed=whole(_SEED, settings_text, 0, 2**32 - 1),
        clip_skip=whole(_CLIP, settings_text, 1, 12),
        base_model=base_model,
        avoided=avoided,
        small_card=bool(_SMALL_CARD.search(prompt)),
        is_fast=bool(_FAST.search(prompt)),
        commercial=bool(_COMMERCIAL.search(prompt)),
        type="LoRA" if _LORA.search(prompt) else "Checkpoint" if _CHECKPOINT.search(prompt) else None,
    )


def _negative(text: str) -> tuple[str, str]:
    """The prompt without a pasted negative prompt, and that; the prompt unchanged where it has nothing
    else."""
    hit = _NEGATIVE.search(masked(text))
    if hit is None:
        return text, ""
    names, positive = text[hit.start("names") : hit.end()], text[hit.end() :]
    if label := _POSITIVE.search(names):
        names, positive = names[: label.start()], f", {names[label.end() :]}{positive}"
    if not re.search(r"\w", text[: hit.start()]) and not _POSITIVE.match(positive.lstrip()) and not label:
        return text, ""
    steps = re.search(r"(?<![\s,.;])[\s,.;]*\b(?:steps\s*:|--[a-z])", names, re.I)
    names, behind = (names[: steps.start()], names[steps.start() :]) if steps else (names, "")
    rest = text[: hit.start()].rstrip(" ,;.|(-") + behind + positive
    return _POSITIVE.sub("", rest).lstrip(" ,\n"), names.strip(" ,;.)")


def _base_models(prompt: str) -> tuple[str | None, tuple[str, ...]]:
    """The base model or family that a prompt asks for, and those that it excludes."""
    choice, avoided, second_choice = None, [], None
    for request in base_model_requests(masked(prompt)):
        before, name = prompt[max(0, request.start - 24) : request.start], request.name
        if _RULED_OUT.search(before):
            avoided.append(name)
        elif _CORRECTED.search(before):
            second_choice = second_choice or name
        else:
            choice = choice or name
    return second_choice or choice, tuple(dict.fromkeys(avoided))


def with_options(
    prompt_wishes: Wishes,
    *,
    negative_prompt: str = "",
    width: int | None = None,
    height: int | None = None,
    sampling_method: str | None = None,
    scheduler: str | None = None,
    **numbers: int | float | None,
) -> Wishes:
    """Returns the wishes, replaced by options; ``numbers`` are fields of :class:`Wishes` or None.

    Raises:
        BadInput: the sampler is unknown, or does not have that schedule.
    """
    wishes = replace(prompt_wishes, negative_prompt=negative_prompt)
    if width and height:
        wishes = replace(wishes, size=(width, height), aspect=None, oversize=None)
    elif prompt_wishes.size and (width or height):
        wishes = replace(
            wishes, size=(width or prompt_wishes.size[0], height or prompt_wishes.size[1]), aspect=None
        )
    elif width or height:
        wishes = replace(wishes, size=None, aspect=None, oversize=None, side=(width, height))
    if sampling_method or scheduler:
        wishes = replace(wishes, sampler=_sampler_of_options(sampling_method, scheduler))
    options = {name: value for name, value in numbers.items() if value is not None}
    return replace(wishes, **options)  # type: ignore[arg-type]


def _sampler_of_options(sampling_method: str | None, scheduler: str | None) -> str:
    if sampling_method is None:
        raise BadInput(
            f"scheduler is {scheduler!r}, but a schedule goes with a sampler: give sampling_method"
        )
    sampler = read(sampling_method, scheduler)
    if sampler is not None:
        return join(sampler)
    if read(sampling_method) is None:
        raise BadInput(f"sampling_method: {unknown_sampler(sampling_method)}")
    raise BadInput(f"scheduler is {scheduler!r}, which is not known; known are {', '.join(SCHEDULERS)}")


def without_wishes(text: str) -> str:
    """Returns the text without the phrases that :func:`wishes` reads, whether their numbers are in range or
    not."""
    patterns = (_SIZE, *EXACT[:2], _STEPS, _CFG, _SEED, _CLIP, _SAMPLER, _LORA, _CHECKPOINT)
    text = without(text, model_spans(text))
    for pattern in (*patterns, *(shape for _, shape in (*FORMATS, *SUBJECTS))):
        text = pattern.sub(" ", text)
    return text


def setting_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yields the spans of settings that are not words of the picture, in no order; they may overlap."""
    yield from exact_spans(text)
    for size in _SIZE.finditer(text):
        if min(int(size[1]), int(size[2])) >= SIDE_MIN:
            yield size.span()
    for sides in _SIDES.finditer(text):
        yield sides.span()
    for square in _SQUARE.finditer(text):
        if _square(square[0]):
            yield square.span()
    steps: tuple[re.Pattern[str], ...] = (_STEPS, _BARE_STEPS, _ABROAD_STEPS)
    if _STAIRS.search(text):
        steps = (_LISTED_STEPS,) if _has_settings(text) else ()
    patterns = (
        *steps,
        _CFG,
        _SEED,
        _CLIP,
        _SAMPLER,
        _BARE_SAMPLER,
        _INLINE_SAMPLER,
        _LORA,
        _CHECKPOINT,
        _FAST,
    )
    for pattern in patterns:
        for hit in pattern.finditer(text):
            yield hit.span()
    yield from model_spans(text)


def model_spans(text: str) -> list[tuple[int, int]]:
    """Returns the spans of requests for base models and checkpoints."""
    return [
        *(request.span for request in base_model_requests(text)),
        *(request.span for request in checkpoint_requests(text)),
    ]


def _oversize(text: str) -> tuple[int, int] | None:
    """The first requested size that no model can make, or, with "if possible", that none makes well."""
    for hit in _SIZE.finditer(text):
        width, height = int(hit[1]), int(hit[2])
        is_soft = width * height > LARGEST and bool(_SOFT.match(text, hit.end()))
        if min(width, height) >= SIDE_MIN and (max(width, height) > SIDE_MAX or is_soft):
            return width, height
    return None


def _size(text: str) -> tuple[int, int] | None:
    for hit in (*_SIZE.finditer(text), *_SIDES.finditer(text)):
        width, height = (int(side) for side in hit.groups() if side)
        if min(width, height) >= SIDE_MIN and max(width, height) <= SIDE_MAX:
            return legal_side(width), legal_side(height)
    return None


def _square(text: str) -> tuple[int, int] | None:
    for hit in _SQUARE.finditer(text):
        side = int(hit[1] or hit[2])
        if 4 * SIDE_MIN <= side <= SIDE_MAX:
            return legal_side(side), legal_side(side)
    return None


def _infotext_sampler(settings: Mapping[str, str]) -> str | None:
    folded_settings = {name.casefold(): value for name, value in settings.items()}
    sampler = read(folded_settings.get("sampler"), folded_settings.get("schedule type"))
    return sampler and join(sampler)


def _sampler(prompt: str) -> str | None:
    patterns = (_SAMPLER, _BARE_SAMPLER, _INLINE_SAMPLER)
    hit = next(filter(None, (pattern.search(prompt) for pattern in patterns)), None)
    if hit is None:
        return None
    plan = hit["plan"] or hit["everyday"]
    plan = "Exponential" if plan and plan.casefold() == "exp" else plan
    sampler = read(_PLUS.sub("++", " ".join(hit["method"].split())), plan)
    return sampler and join(sampler)


def whole(pattern: re.Pattern[str], text: str, low: int, high: int) -> int | None:
    """Returns the first number in range of a pattern's groups, in digits or words."""
    for hit in pattern.finditer(text):
        word = next(group for group in hit.groups() if group)
        value = {"one": 1, "two": 2, **_TENS}.get(word.casefold()) or int(word)
        if low <= value <= high:
            return value
    return None


def _steps(prompt: str, line: str) -> int | None:
    """The requested steps; those of stairs do not count."""
    if (
        _STAIRS.search(prompt)
        and _has_settings(prompt)
        and (listed_steps := whole(_LISTED_STEPS, prompt, 1, STEPS_MAX))
    ):
        return listed_steps
    text = line if _STAIRS.search(prompt) else f"{prompt}\n{line}"
    patterns = (_STEPS, _BARE_STEPS, _ABROAD_STEPS)
    steps = next(filter(None, (whole(pattern, text, 1, STEPS_MAX) for pattern in patterns)), None)
    return steps or (FEW if _FEW_STEPS.search(prompt) else None)


def scale(pattern: re.Pattern[str], text: str) -> float | None:
    """Returns the first CFG scale in range of a pattern's two groups."""
    values = (float(hit[1] or hit[2]) for hit in pattern.finditer(text))
    return next((value for value in values if 1 <= value <= CFG_MAX), None)


def _has_settings(text: str) -> bool:
    """Whether a text has a setting that cannot be part of a picture."""
    return any(pattern.search(text) for pattern in (_CFG, _SAMPLER, _BARE_SAMPLER, _SEED))
