"""Settings: the sampler, steps, CFG scale, size, clip skip and weight to run a model with.

In: the :class:`~diffagent.data.records.Usage` of a card, of a LoRA's checkpoint, and of the family over the
whole catalog. Out: for each field its most plausible values with prior probabilities, from which the language
model chooses; a user's wish overrides them.

A model's own images count where at least five of them agree on a field: on the sampler, on steps within five
of each other, on CFG scales within 1, on a size. Else the carrier's count (except for sizes), and else the
base model's row: half of the models have fewer than five sample images, which show one uploader's taste.
Values outside the row's ranges are offered only on request; a distilled model (its images agree on at most 12
steps and a CFG scale below 3) has its own ranges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffagent.agent.asking.sizes import AGREEING, legal_size, sizes
from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.setting import Setting
from diffagent.data.base_models import OTHER, USUAL, BaseModelFacts, find, side_of
from diffagent.data.records import CFG_MAX, STEPS_MAX, Card, Counts, Usage
from diffagent.data.samplers import is_joined, join, split

SMOOTHING = 1.0
"""The weight of the usual values beside a model's own, in images."""
KEPT = 6
"""The most values per field; the rest of a usage distribution is a long tail of single images."""
WIDTHS: Mapping[str, float] = {"steps": 5, "cfg_scale": 1.0}
"""The largest difference of two numbers that agree."""
USUAL_WEIGHT = 0.8
"""The weight of a LoRA without usage."""
DRAWN = ("anime", "manga", "chibi")
"""The media of models merged from anime models."""
FALLBACK: Mapping[str, Counts] = {
    "sampler": {"Euler a": 1},
    "steps": {20: 1},
    "cfg_scale": {7.0: 1},
    "size": {f"{side_of(USUAL.name)}x{side_of(USUAL.name)}": 1},
}
"""The paper's default parameters (section 4.1), where catalog and base model's row have none."""


def settings(card: Card, usual: Usage, wishes: Wishes, carrier: Card | None = None) -> dict[str, Setting]:
    """Returns the plausible ``size`` ((width, height) in pixels), ``sampler``, ``steps`` and ``cfg_scale``.

    Args:
        card: the model that answers.
        usual: the usage of its family.
        wishes: the request's wishes.
        carrier: the checkpoint that a LoRA runs on.
    """
    row = find(card.base_model) or OTHER
    usages = [card.usage] if carrier is None else [card.usage, carrier.usage]
    ranges = _ranges(usages, row)
    guided_by = [usage for usage in usages if usage is not card.usage or not _is_reference(card, row)]
    guided = row.guidance and (row.guidance.usual if row.guidance.kind == "cfg" else 1.0)
    is_general = card.attributes is not None and card.attributes.role == "general"
    shapes = sizes(card.usage.size, usual.size or FALLBACK["size"], row, wishes, is_general=is_general)
    steps = _number("steps", usages, usual, row.steps, ranges)
    cfg_scale = _number("cfg_scale", guided_by, usual, guided, ranges)
    return {
        "size": _most_probable(shapes),
        "sampler": _scheduled(_or_wish(wishes.sampler, _sampler(usages, usual, row)), row),
        "steps": _or_wish(wishes.steps, steps),
        "cfg_scale": _or_wish(wishes.cfg_scale, cfg_scale),
    }


def _is_reference(card: Card, row: BaseModelFacts) -> bool:
    """Whether an entry is the base model itself, whose guidance its row tells, not people's images."""
    return row.repository is not None and card.air.endswith(f":{row.repository}")


def lora_weight(card: Card) -> float:
    """Returns a LoRA's most frequent weight from 0.4 to 1.2; 0.8 without usage.

    Other weights from 0.1 to 2 count only where at least five images agree. Lower weights show pictures
    without the LoRA, or its opposite.
    """
    usage = {
        value: n
        for key, n in card.usage.lora_weight.items()
        if 0.4 <= (value := float(key)) <= 1.2 or (0.1 <= value <= 2 and n >= AGREEING)
    }
    return max(usage, key=lambda value: (usage[value], -abs(value - USUAL_WEIGHT)), default=USUAL_WEIGHT)


def guidance(card: Card, carrier: Card | None = None) -> float | None:
    """Returns the usual distilled guidance of the base model that runs; None where it has none."""
    row = find((carrier or card).base_model)
    guided = None if row is None else row.guidance
    return guided.usual if guided is not None and guided.kind == "distilled" else None


def clip_skip(card: Card, carrier: Card | None = None) -> int | None:
    """Returns the clip skip 1 or 2 that at least five images and half of all name, of the model or its
    carrier; else the anime models' where it is one, else None for the base model's own.

    Images name it only where it is not 1, so the others count against it.
    """
    cards = [card] if carrier is None else [card, carrier]
    for runner in cards:
        skips = {int(key): n for key, n in runner.usage.clip_skip.items() if int(key) in (1, 2)}
        most = max(skips, key=lambda value: (skips[value], -value), default=1)
        if skips.get(most, 0) >= max(AGREEING, sum(runner.usage.sampler.values()) / 2):
            return most
    purpose, row = cards[-1].attributes, find(card.base_model)
    is_drawn = purpose is not None and purpose.media[0] in DRAWN
    return row.drawn_clip_skip if is_drawn and row is not None else None


def most_frequent(name: str, counts: Counts) -> Any:
    """Returns a field's most frequent legal value, the smaller of equals; None where there is none."""
    legal = _LEGAL[name]
    frequencies = {value: n for key, n in counts.items() if (value := legal(key)) is not None}
    return max(sorted(frequencies), key=lambda value: frequencies[value], default=None)


def _or_wish(wish: Any, usual: Setting) -> Setting:
    return usual if wish is None else Setting.fixed(wish)


def _scheduled(samplers: Setting, row: BaseModelFacts) -> Setting:
    """Samplers with the base model's usual schedule where they have none and it is never used without one."""
    if not row.schedules or None in row.schedules:
        return samplers
    mass: dict[str, float] = {}
    for name, log_prior in zip(samplers.values, samplers.log_priors, strict=True):
        one = split(name)
        scheduled = join(one._replace(scheduler=one.scheduler or row.schedules[0]))
        mass[scheduled] = mass.get(scheduled, 0.0) + math.exp(log_prior)
    return _most_probable(mass)


def _sampler(usages: Sequence[Usage], usual: Usage, row: BaseModelFacts) -> Setting:
    def is_offered(name: str) -> bool:
        return name in row.samplers if row.samplers else is_joined(name)

    agreed = (
        {name: n for name, n in usage.sampler.items() if is_offered(name) and n >= AGREEING}
        for usage in usages
    )
    images: Mapping[str, float] = next(filter(None, agreed), {})
    family = {name: n for name, n in usual.sampler.items() if is_offered(name)}
    return _most_probable(_with_usual(images, _usual("sampler", row.samplers and row.samplers[0], family)))


@dataclass(frozen=True)
class _Ranges:
    """The range of each number that is offered without a request."""

    steps: tuple[float, float]
    cfg_scale: tuple[float, float]


def _ranges(usages: Sequence[Usage], row: BaseModelFacts) -> _Ranges:
    """Returns the base model's ranges, or all values where a model's images show a distilled one."""
    if any(_is_distilled(usage) for usage in usages):
        return _Ranges((1, STEPS_MAX), (1.0, CFG_MAX))
    steps, guided = row.steps_range or (1, STEPS_MAX), row.guidance
    if guided is None:
        return _Ranges(steps, (1.0, CFG_MAX))
    return _Ranges(steps, (1.0, 1.0) if guided.kind == "distilled" else (guided.low, guided.high))


def _is_distilled(usage: Usage) -> bool:
    """Whether at least five images, and most of them, have at most 12 steps and a CFG scale below 3."""
    few = sum(n for key, n in usage.steps.items() if int(key) <= 12)
    low = sum(n for key, n in usage.cfg_scale.items() if float(key) < 3)
    half = max(sum(usage.steps.values()), sum(usage.cfg_scale.values())) / 2
    return min(few, low) >= AGREEING and min(few, low) > half


def _number(name: str, usages: Sequence[Usage], usual: Usage, value: Any, ranges: _Ranges) -> Setting:
    """Returns numbers by their expected distance from people's usage, in units of the least distance."""
    low, high = getattr(ranges, name)
    family = _usual(name, value, _within(name, getattr(usual, name), low, high))
    agreed = (_agreeing(_within(name, getattr(usage, name), low, high), WIDTHS[name]) for usage in usages)
    mass = _with_usual(next(filter(None, agreed), {}), family)
    images = sum(mass.values())
    error = {number: sum(n * abs(number - other) for other, n in mass.items()) / images for number in mass}
    best = sorted(mass, key=lambda number: (error[number], number != value, number))[:KEPT]
    least = error[best[0]] or 1.0
    scores = [1 - error[number] / least for number in best]
    total = math.log(sum(map(math.exp, scores)))
    return Setting(tuple(best), tuple(score - total for score in scores))


def _within(name: str, counts: Counts, low: float, high: float) -> dict[Any, float]:
    """Returns the images of each legal number from low to high."""
    numbers: dict[Any, float] = {}
    for key, n in counts.items():
        value = _LEGAL[name](key)
        if value is not None and low <= value <= high:
            numbers[value] = numbers.get(value, 0.0) + n
    return numbers


def _agreeing(counts: Mapping[Any, float], width: float) -> dict[Any, float]:
    """Returns the numbers in the span of a width with the most images; none where these are fewer than
    five."""
    spans = (
        {number: n for number, n in counts.items() if first <= number <= first + width}
        for first in sorted(counts)
    )
    best = max(spans, key=lambda span: sum(span.values()), default={})
    return best if sum(best.values()) >= AGREEING else {}


def _usual(name: str, value: Any, family: Mapping[Any, float]) -> dict[Any, float]:
    """Returns shares of the usual values: half is the base model's, if its row has one, the rest its
    family's."""
    images = sum(family.values())
    if not images:
        return {value if value is not None else _LEGAL[name](next(iter(FALLBACK[name]))): 1.0}
    rest = 1.0 if value is None else 0.5
    shares = {number: rest * n / images for number, n in family.items()}
    return shares if value is None else shares | {value: 0.5 + shares.get(value, 0.0)}


def _with_usual(images: Mapping[Any, float], usual: Mapping[Any, float]) -> dict[Any, float]:
    """Returns the images of each value: the model's own, and :data:`SMOOTHING` of the usual ones."""
    return dict(images) | {
        value: images.get(value, 0.0) + SMOOTHING * share for value, share in usual.items()
    }


def _most_probable(mass: Mapping[Any, float]) -> Setting:
    best = sorted(mass, key=lambda value: (-mass[value], str(value)))[:KEPT]
    total = sum(mass[value] for value in best)
    return Setting(tuple(best), tuple(math.log(mass[value] / total) for value in best))


def _known_sampler(key: Any) -> str | None:
    return key if is_joined(key) else None


def _legal_steps(key: Any) -> int | None:
    return int(key) if 1 <= int(key) <= STEPS_MAX else None


def _legal_cfg(key: Any) -> float | None:
    return float(key) if 1 <= float(key) <= CFG_MAX else None


_LEGAL: Mapping[str, Callable[[Any], Any]] = {
    "size": legal_size,
    "sampler": _known_sampler,
    "steps": _legal_steps,
    "cfg_scale": _legal_cfg,
}
