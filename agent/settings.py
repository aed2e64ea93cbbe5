"""Settings: which sampler, steps, CFG scale, size, clip skip and weight to run a model with.

In: a card's :class:`~diffagent.data.records.Usage` and the family's over the whole catalog. Out: for each
field its few most plausible values with prior probabilities, from which the language model chooses, and
which a user's wish overrides. A model's own counts are smoothed towards its family's (Dirichlet prior),
because half of the models have fewer than five sample images.

Samplers and sizes are right or wrong, so the most probable comes first; steps and CFG scale are near or
far, so the first is the median, whose expected error is least.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from diffagent.agent.wishes import Wishes, reshape
from diffagent.data.base_models import USUAL, family_of, find, side_of
from diffagent.data.records import SIDE_MAX, SIDE_MIN, SIDE_STEP, Card, Counts, Usage, legal_side
from diffagent.data.samplers import SAMPLERS

SMOOTHING = 1.0
"""Images' worth of the family's usage that is added to a model's own; fitted on the align part."""
LEANING = 3.0
"""How much more probable a word such as "portrait" makes sizes of that shape; fitted on the align part."""
KEPT = 6
"""Values offered a field; the rest of a usage distribution is a long tail of single images."""
FALLBACK: Mapping[str, Counts] = {
    "sampler": {"Euler a": 1},
    "steps": {20: 1},
    "cfg_scale": {7.0: 1},
    "size": {f"{side_of(USUAL.name)}x{side_of(USUAL.name)}": 1},
}
"""The paper's default parameters (section 4.1), where neither a catalog nor a base model's row tells."""


@dataclass(frozen=True)
class Setting:
    """One field's plausible values, most probable first, and their prior log-probabilities."""

    values: tuple[Any, ...]
    log_priors: tuple[float, ...]

    @classmethod
    def fixed(cls, value: Any) -> Setting:
        return cls((value,), (0.0,))


def settings(card: Card, usual: Usage, wishes: Wishes) -> dict[str, Setting]:
    """The plausible ``size`` (as (width, height) in pixels), ``sampler``, ``steps`` and ``cfg_scale``."""
    own, usual = card.usage, _with_defaults(usual, card.base_model)
    return {
        "size": _size(own.size, usual.size, wishes),
        "sampler": _wished(wishes.sampler, _plausible("sampler", own.sampler, usual.sampler, _known_sampler)),
        "steps": _wished(wishes.steps, _near("steps", own.steps, usual.steps, _legal_steps)),
        "cfg_scale": _wished(
            wishes.cfg_scale, _near("cfg_scale", own.cfg_scale, usual.cfg_scale, _legal_cfg)
        ),
    }


def _with_defaults(usual: Usage, base_model: str) -> Usage:
    """The usage with the base model's own settings where the catalog counts none."""
    row = find(base_model)
    if row is None:
        return usual
    guided = row.guidance and (row.guidance.usual if row.guidance.kind == "cfg" else 1.0)
    told: dict[str, object] = {
        "sampler": row.usual_sampler,
        "steps": row.steps,
        "cfg_scale": guided,
        "size": f"{row.side}x{row.side}" if row.side else None,
    }
    missing = {
        name: {value: 1} for name, value in told.items() if value is not None and not getattr(usual, name)
    }
    return replace(usual, **missing) if missing else usual


def lora_weight(card: Card) -> float:
    """The weight that a LoRA is most used with, 0.8 where nobody said; from 0.1 to 2.

    Who sets less shows what happens without the LoRA, or the contrary of what it is for.
    """
    usage = {value: n for key, n in card.usage.lora_weight.items() if 0.1 <= (value := float(key)) <= 2}
    return max(usage, key=lambda value: (usage[value], -abs(value - 0.8)), default=0.8)


def clip_skip(card: Card) -> int | None:
    """The clip skip that most of a model's images name, or None."""
    usage = {int(key): n for key, n in card.usage.clip_skip.items() if 1 <= int(key) <= 12}
    return max(usage, key=lambda value: (usage[value], -value), default=None)


def pooled(usages: Iterable[Usage]) -> Usage:
    """The usage of many models together; each model counts for at most ten images a value."""
    totals: dict[str, dict[Any, int]] = {name: {} for name in FALLBACK}
    for usage in usages:
        for name, total in totals.items():
            for value, n in getattr(usage, name).items():
                total[value] = total.get(value, 0) + min(n, 10)
    return Usage(**totals)


def by_family(cards: Iterable[Card]) -> dict[str, Usage]:
    """What people use each family's models with: :func:`pooled` over its cards."""
    groups: dict[str, list[Usage]] = {}
    for card in cards:
        groups.setdefault(family_of(card.base_model), []).append(card.usage)
    return {name: pooled(usages) for name, usages in groups.items()}


def most_frequent(name: str, counts: Counts) -> Any:
    """The legal value of a field that most images have, the smaller of equals; None where there is none."""
    legal = _LEGAL[name]
    known = {value: n for key, n in counts.items() if (value := legal(key)) is not None}
    return max(sorted(known), key=lambda value: known[value], default=None)


def _wished(wish: Any, usual: Setting) -> Setting:
    return usual if wish is None else Setting.fixed(wish)


def _size(own: Counts, usual: Counts, wishes: Wishes) -> Setting:
    if wishes.size:
        return Setting.fixed(wishes.size)
    if any(wishes.side):
        return Setting.fixed(_completed(wishes.side, own, usual))
    mass = _mass("size", own, usual, _legal_size)
    if wishes.aspect is None:
        return _most_probable(mass)
    if wishes.leaning:
        shape = _shape(wishes.aspect)
        return _most_probable(
            {size: n * (LEANING if _shape(size) == shape else 1) for size, n in mass.items()}
        )
    wide, tall = wishes.aspect
    known = _most_probable(mass)
    fitting = {
        (width, height): mass[width, height]
        for width, height in known.values
        if abs(math.log(width * tall / (height * wide))) < 0.12
    }
    if fitting:
        return _most_probable(fitting)
    area = math.exp(
        sum(math.exp(p) * math.log(w * h) for (w, h), p in zip(known.values, known.log_priors, strict=True))
    )
    return Setting.fixed(reshape(wishes.aspect, area))


def _completed(side: tuple[int | None, int | None], own: Counts, usual: Counts) -> tuple[int, int]:
    """Both sides where one is given: the other keeps the area that the model is mostly used at."""
    width, height = _most_probable(_mass("size", own, usual, _legal_size)).values[0]
    given = side[0] or side[1] or width
    other = legal_side(round(width * height / given / 64) * 64)
    return (given, other) if side[0] else (other, given)


def _shape(sides: tuple[int, int]) -> int:
    """1 for wide, 0 for square, −1 for tall."""
    return (sides[0] > sides[1]) - (sides[0] < sides[1])


def _plausible(name: str, own: Counts, usual: Counts, legal: Any) -> Setting:
    return _most_probable(_mass(name, own, usual, legal))


def _near(name: str, own: Counts, usual: Counts, legal: Any) -> Setting:
    """Numbers by their expected distance from what people use, in units of the least one."""
    mass = _mass(name, own, usual, legal)
    images = sum(mass.values())
    error = {value: sum(n * abs(value - other) for other, n in mass.items()) / images for value in mass}
    best = sorted(mass, key=lambda value: (error[value], value))[:KEPT]
    least = error[best[0]] or 1.0
    scores = [1 - error[value] / least for value in best]
    total = math.log(sum(map(math.exp, scores)))
    return Setting(tuple(best), tuple(score - total for score in scores))


def _mass(name: str, own: Counts, usual: Counts, legal: Any) -> dict[Any, float]:
    """Images of each legal value: the model's own, and :data:`SMOOTHING` of its family."""
    mass: dict[Any, float] = {}
    for counts, weight in ((own, 1.0), (usual or FALLBACK[name], SMOOTHING / (sum(usual.values()) or 1))):
        for key, n in counts.items():
            value = legal(key)
            if value is not None:
                mass[value] = mass.get(value, 0.0) + n * weight
    return mass or {legal(next(iter(FALLBACK[name]))): 1.0}


def _most_probable(mass: Mapping[Any, float]) -> Setting:
    best = sorted(mass, key=lambda value: (-mass[value], str(value)))[:KEPT]
    return _normalised(best, [mass[value] for value in best])


def _normalised(values: list[Any], mass: list[float]) -> Setting:
    total = sum(mass)
    return Setting(tuple(values), tuple(math.log(one / total) for one in mass))


@lru_cache(4096)
def _legal_size(key: Any) -> tuple[int, int] | None:
    width, _, height = str(key).partition("x")
    sides = int(width), int(height)
    ok = all(SIDE_MIN <= side <= SIDE_MAX and side % SIDE_STEP == 0 for side in sides)
    return sides if ok else None


def _known_sampler(key: Any) -> str | None:
    return key if key in SAMPLERS else None


def _legal_steps(key: Any) -> int | None:
    return int(key) if 1 <= int(key) <= 150 else None


def _legal_cfg(key: Any) -> float | None:
    return float(key) if 1 <= float(key) <= 30 else None


_LEGAL: Mapping[str, Callable[[Any], Any]] = {
    "size": _legal_size,
    "sampler": _known_sampler,
    "steps": _legal_steps,
    "cfg_scale": _legal_cfg,
}
