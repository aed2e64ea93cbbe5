"""Samplers: their names in a call, sampler and schedule apart, and the joined names that people write.

    read("DPM++ 2M Karras")        -> Sampler("DPM++ 2M", "Karras")
    split("DPM++ 2M Karras")       -> Sampler("DPM++ 2M", "Karras")
    join(Sampler("DPM++ 2M", "Karras")) -> "DPM++ 2M Karras"

A call names both apart (``sampling_method``, ``scheduler``). Usage counts, settings, DABench and the answer
of the language model use the joined name, as Civitai and the DiffAgent paper spell it. What a target calls
a sampler stands in the target's own file.

Sources: A1111 ``modules/sd_samplers_kdiffusion.py``, ``sd_samplers_timesteps.py``, ``sd_schedulers.py``;
Forge ``modules_forge/alter_samplers.py``; ComfyUI ``comfy/samplers.py``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from diffagent.data.errors import BadInput

SCHEDULERS: tuple[str, ...] = (
    "Karras", "Exponential", "Polyexponential", "SGM Uniform", "Simple", "Beta", "Normal", "DDIM Uniform",
    "Align Your Steps", "KL Optimal", "Turbo", "Linear Quadratic",
)  # fmt: skip
"""Every ``scheduler`` that a call may name."""

NEAREST: dict[str, tuple[str, ...]] = {
    "Euler a": ("Euler", "DPM2 a"),
    "Euler": ("Euler a", "Heun"),
    "LMS": ("DPM++ 2M", "Euler"),
    "Heun": ("DPM2", "Euler"),
    "DPM2": ("Heun", "DPM++ 2M"),
    "DPM2 a": ("DPM++ 2S a", "Euler a"),
    "DPM++ 2S a": ("DPM++ 2M", "DPM++ SDE", "Euler a"),
    "DPM++ 2M": ("DPM++ 2M SDE", "UniPC", "Euler"),
    "DPM++ SDE": ("DPM++ 2M SDE", "DPM++ 2S a", "DPM++ 2M"),
    "DPM++ 2M SDE": ("DPM++ SDE", "DPM++ 2M", "Euler a"),
    "DPM fast": ("DPM++ 2M", "Euler"),
    "DPM adaptive": ("DPM++ 2M", "Heun"),
    "DDIM": ("Euler", "PLMS"),
    "PLMS": ("LMS", "DDIM", "Euler"),
    "UniPC": ("DPM++ 2M", "Euler"),
    "LCM": ("Euler a", "Euler"),
    "DPM++ 2M SDE Heun": ("DPM++ 2M SDE", "DPM++ SDE", "DPM++ 2M", "Euler a"),
    "DPM++ 3M SDE": ("DPM++ 2M SDE", "DPM++ SDE", "DPM++ 2M", "Euler a"),
    "Restart": ("Heun", "DPM++ 2M", "Euler"),
    "Heun++ 2": ("Heun", "DPM2", "Euler"),
    "IPNDM": ("LMS", "DPM++ 2M", "Euler"),
    "IPNDM V": ("IPNDM", "LMS", "DPM++ 2M", "Euler"),
    "DEIS": ("UniPC", "DPM++ 2M", "Euler"),
    "DDPM": ("Euler a", "Euler"),
    "Res Multistep": ("DPM++ 2M", "Euler"),
    "Res Multistep a": ("DPM++ 2S a", "Euler a"),
    "Euler CFG++": ("Euler", "DDIM"),
    "Euler a CFG++": ("Euler a", "Euler"),
    "DDIM CFG++": ("DDIM", "Euler"),
    "Gradient Estimation": ("Euler", "DPM++ 2M"),
    "ER SDE": ("DPM++ 2M SDE", "DPM++ SDE", "Euler a"),
    "SA Solver": ("DPM++ 2M SDE", "DPM++ SDE", "Euler a"),
    "Seeds 2": ("DPM++ SDE", "DPM++ 2S a", "Euler a"),
    "Seeds 3": ("Seeds 2", "DPM++ SDE", "Euler a"),
}
"""Each sampler's substitutes: those of the same order and kind first."""

SAMPLING_METHODS: tuple[str, ...] = tuple(NEAREST)
"""Every ``sampling_method`` that a call may name, as A1111 spells them."""

_NEAR_SCHEDULERS: dict[str | None, tuple[str | None, ...]] = {
    None: (None, "Karras"),
    "Karras": ("Karras", None),
    "Exponential": ("Exponential", "Polyexponential", "Karras", None),
    "Polyexponential": ("Polyexponential", "Exponential", "Karras", None),
    "SGM Uniform": ("SGM Uniform", "Simple", "Normal", None),
    "Simple": ("Simple", "SGM Uniform", "Normal", None),
    "Beta": ("Beta", "Simple", "Normal", None),
    "Normal": ("Normal", None, "Simple"),
    "DDIM Uniform": ("DDIM Uniform", "SGM Uniform", None),
    "Align Your Steps": ("Align Your Steps", "Karras", None),
    "KL Optimal": ("KL Optimal", "Karras", None),
    "Turbo": ("Turbo", "SGM Uniform", "Simple", None),
    "Linear Quadratic": ("Linear Quadratic", "Simple", None),
}

_COUNTED = (
    "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE",
    "DPM++ 2M SDE", "DPM fast", "DPM adaptive", "DDIM", "PLMS", "UniPC", "LCM",
)  # fmt: skip
_WITH_KARRAS = ("LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE")
SAMPLERS: tuple[str, ...] = _COUNTED + tuple(f"{name} Karras" for name in _WITH_KARRAS)
"""The joined names that usage counts, DABench and an answer may hold, as A1111 and Civitai spell them."""

_AUTOMATIC = dict.fromkeys(("DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE", "Restart"), "Karras")
_AUTOMATIC |= dict.fromkeys(("DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"), "Exponential")
"""The schedule that "Automatic" means in A1111 1.9 and later (``sd_samplers_kdiffusion.py``)."""

_OTHER_NAMES = {"heunpp2": "Heun++ 2", "ipndm_v": "IPNDM V"}
_OTHER_SCHEDULERS = {"ddim": "DDIM Uniform", "uniform": None, "": None}
_VARIANTS = re.compile(r"\b(?:v\d+|test|mod|alt|new|sharp|precision|qual)\b", re.IGNORECASE)


class Sampler(NamedTuple):
    """A sampler and its schedule; None: the schedule that the target uses where nothing is said."""

    method: str
    scheduler: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.scheduler}" if self.scheduler else self.method


_BY_NAME = {name.casefold(): Sampler(name) for name in SAMPLING_METHODS}
_BY_NAME |= {other: Sampler(name) for other, name in _OTHER_NAMES.items()}
_BY_NAME |= {
    f"{name} {scheduler}".casefold(): Sampler(found.method, scheduler)
    for name, found in list(_BY_NAME.items())
    for scheduler in SCHEDULERS
}
_SCHEDULER_BY_NAME: dict[str, str | None] = {name.casefold(): name for name in SCHEDULERS}
_SCHEDULER_BY_NAME |= _OTHER_SCHEDULERS


def split(name: str) -> Sampler:
    """Returns the sampler of a joined name.

    Raises:
        BadInput: no sampler is joined so.
    """
    found = _BY_NAME.get(name.casefold())
    if found is None:
        raise BadInput(f"no sampler is named {name!r}: known are {', '.join(SAMPLERS)}")
    return found


def join(sampler: Sampler) -> str | None:
    """Returns the joined name, one of :data:`SAMPLERS`; None where people have none for the two together."""
    name = str(sampler._replace(scheduler=None) if sampler.scheduler == "Normal" else sampler)
    return name if name in SAMPLERS else None


def read(label: object, schedule: object = None) -> Sampler | None:
    """Returns the sampler that metadata means; None where a call has no name for it.

    "DPM++ 2M Karras v2", "… Test", "… alt Karras" are patched builds of the plain sampler and map to it. A
    schedule in the label holds before ``schedule``, A1111's "Schedule type".
    """
    if not isinstance(label, str):
        return None
    found = _BY_NAME.get(" ".join(_VARIANTS.sub(" ", label).casefold().split()))
    if found is None or found.scheduler is not None:
        return found
    kind = schedule.strip().casefold() if isinstance(schedule, str) else ""
    if kind == "automatic":
        return Sampler(found.method, _AUTOMATIC.get(found.method))
    return Sampler(found.method, _SCHEDULER_BY_NAME[kind]) if kind in _SCHEDULER_BY_NAME else None


def nearest(sampler: Sampler, known: Collection[Sampler]) -> Sampler | None:
    """Returns the sampler among ``known`` that comes nearest; None where none is like it.

    A sampler of the same kind comes before the same schedule.
    """
    for method in (sampler.method, *NEAREST[sampler.method]):
        for scheduler in _NEAR_SCHEDULERS[sampler.scheduler]:
            if (found := Sampler(method, scheduler)) in known:
                return found
    return None
