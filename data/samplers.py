"""Samplers and schedules: their separate names in a call, and the joined names that people write.

    read("DPM++ 2M Karras")        -> Sampler("DPM++ 2M", "Karras")
    read("dpmpp_2m", "karras")     -> Sampler("DPM++ 2M", "Karras")
    split("DPM++ 2M Karras")       -> Sampler("DPM++ 2M", "Karras")
    join(Sampler("DPM++ 2M", "Karras")) -> "DPM++ 2M Karras"

A call and a sample have two names (``sampling_method``, ``scheduler``). Counts, settings, DABench and the
language model's answer use the joined name, as Civitai and the DiffAgent paper do. Programs' names are in
:mod:`diffagent.data.sampler_table`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple

from diffagent.data.errors import BadInput
from diffagent.data.sampler_table import PLAIN, SAMPLER_ROWS, SCHEDULER_ROWS, SamplerRow, SchedulerRow

METHOD_ROWS: dict[str, SamplerRow] = {row.name: row for row in SAMPLER_ROWS}
PLAN_ROWS: dict[str, SchedulerRow] = {row.name: row for row in SCHEDULER_ROWS}
SAMPLING_METHODS: tuple[str, ...] = tuple(METHOD_ROWS)
"""Every ``sampling_method`` that a call may name, as A1111 spells them."""
SCHEDULERS: tuple[str, ...] = tuple(PLAN_ROWS)
"""Every ``scheduler`` that a call may name."""

LONGEST = 100
"""The most characters of a name."""
_VARIANTS = re.compile(r"\b(?:v\d+|test|mod|alt|new|sharp|precision|qual)\b", re.IGNORECASE)
_OPTIONS = re.compile(r"\[[^\[\]]*\]")
"""The options that ComfyUI's Impact pack writes after a schedule: ``GITS[coeff=1.2]``."""


class Sampler(NamedTuple):
    """A sampler and its schedule; None: the target's default schedule."""

    method: str
    scheduler: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.scheduler}" if self.scheduler else self.method

    @property
    def row(self) -> SamplerRow:
        """The programs' names of the sampler."""
        return METHOD_ROWS[self.method]

    @property
    def plan(self) -> SchedulerRow | None:
        """The programs' names of the schedule."""
        return None if self.scheduler is None else PLAN_ROWS[self.scheduler]


ALL_SAMPLERS: tuple[Sampler, ...] = tuple(
    Sampler(method, scheduler) for method in SAMPLING_METHODS for scheduler in (None, *SCHEDULERS)
)
"""Every sampler that a call may name."""
_BY_NAME = {str(sampler).casefold(): sampler for sampler in ALL_SAMPLERS}
SAMPLERS: tuple[str, ...] = tuple(str(sampler) for sampler in ALL_SAMPLERS if sampler.scheduler != "Normal")
"""The joined names that counts, DABench and an answer may hold, where the plain name means "Normal" too."""
_JOINED = frozenset(SAMPLERS)


def _key(name: str) -> str:
    """The key of a name's spellings: no case, blanks, dashes or underscores, and ``pp`` for ``++``."""
    return re.sub(r"[\s_-]", "", name.casefold()).replace("++", "pp")


_METHOD_BY_KEY = {_key(name): row.name for row in SAMPLER_ROWS for name in row.spellings}
_SCHEDULER_BY_KEY: dict[str, str | None] = dict.fromkeys(map(_key, PLAIN))
_SCHEDULER_BY_KEY |= {_key(name): row.name for row in SCHEDULER_ROWS for name in row.spellings}
_ENDINGS = tuple(sorted(filter(None, _SCHEDULER_BY_KEY), key=len, reverse=True))


def is_joined(name: object) -> bool:
    """Whether a name is one of :data:`SAMPLERS`."""
    return isinstance(name, str) and name in _JOINED


def unknown_sampler(name: object) -> str:
    """Returns the message for an unknown sampler, with the nearest names."""
    near = get_close_matches(str(name)[:LONGEST], SAMPLERS, n=3)
    hint = f"near are {', '.join(near)}" if near else f"known are {', '.join(SAMPLING_METHODS)}"
    return f"no sampler is named {name!r}: {hint}"


def split(name: str) -> Sampler:
    """Returns the sampler of a joined name.

    Raises:
        BadInput: it is not the joined name of a sampler.
    """
    sampler = _BY_NAME.get(name.casefold())
    if sampler is None:
        raise BadInput(unknown_sampler(name))
    return sampler


def join(sampler: Sampler) -> str:
    """Returns the joined name, one of :data:`SAMPLERS`."""
    return str(sampler._replace(scheduler=None) if sampler.scheduler == "Normal" else sampler)


def read(label: object, schedule: object = None) -> Sampler | None:
    """Returns the sampler of metadata in any program's spelling, or None.

    "DPM++ 2M Karras v2", "… Test", "… alt Karras" are patched builds of the plain sampler and map to it. A
    schedule in the label overrides ``schedule``, A1111's "Schedule type".
    """
    if not isinstance(label, str) or len(label) > LONGEST:
        return None
    sampler = _read(_key(_VARIANTS.sub(" ", label))) or _read(_key(label))
    if sampler is None or sampler.scheduler is not None or schedule is None:
        return sampler
    if not isinstance(schedule, str) or len(schedule) > LONGEST:
        return None
    kind = _key(_OPTIONS.sub("", schedule))
    if kind == "automatic":
        return sampler._replace(scheduler=sampler.row.automatic)
    return sampler._replace(scheduler=_SCHEDULER_BY_KEY[kind]) if kind in _SCHEDULER_BY_KEY else None


@lru_cache(maxsize=1024)
def _read(key: str) -> Sampler | None:
    if key in _METHOD_BY_KEY:
        return Sampler(_METHOD_BY_KEY[key])
    for ending in _ENDINGS:
        if key.endswith(ending) and (method := _METHOD_BY_KEY.get(key.removesuffix(ending))):
            return Sampler(method, _SCHEDULER_BY_KEY[ending])
    if key.startswith("k") and len(key) > 1:  # k-diffusion's names: k_dpmpp_2m_ka
        return _read(key[1:])
    return None


def nearest(sampler: Sampler, samplers: Collection[Sampler]) -> Sampler | None:
    """Returns the most similar of ``samplers``, or None.

    A similar sampler comes before the same schedule.
    """
    plans = (None, "Karras") if sampler.plan is None else (sampler.scheduler, *sampler.plan.near)
    for method in (sampler.method, *sampler.row.near):
        for scheduler in plans:
            if (candidate := Sampler(method, scheduler)) in samplers:
                return candidate
    return None
