"""Samplers: what each target calls them, in one table, sampler and schedule apart.

In: a call's ``sampling_method``, in A1111's spelling. Out: the target's spelling, or None where it has no
such sampler; and the nearest one that it has. A plain name means the schedule that its noise levels were
first published with; "Karras" is a schedule of its own.

Sources: A1111 ``modules/sd_samplers_kdiffusion.py``, ``sd_samplers_timesteps.py`` and ``sd_schedulers.py``;
ComfyUI ``comfy/samplers.py`` (``KSAMPLER_NAMES``, ``SCHEDULER_NAMES``); AI Horde
``horde/apis/models/stable_v2.py``; Civitai's ``samplersToSchedulers`` and its SDK's ``Scheduler``; the table
of ``docs/source/en/api/schedulers/overview.md`` in diffusers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from diffagent.data.records import SAMPLERS

KARRAS = " Karras"


@dataclass(frozen=True)
class Row:
    """One sampler in each target's spelling; None: the target does not have it.

    ``uniform``: its noise levels are evenly spaced unless a schedule says otherwise; the others bring
    their own timesteps. ``horde_karras``: whether AI Horde's flag changes it.
    """

    comfyui: str | None
    horde: str | None
    civitai: str | None
    diffusers: str | None
    kwargs: dict[str, Any] = field(default_factory=dict)
    uniform: bool = True
    comfyui_schedule: str = "normal"


TABLE: dict[str, Row] = {
    "Euler a": Row("euler_ancestral", "k_euler_a", "EulerA", "EulerAncestralDiscreteScheduler"),
    "Euler": Row("euler", "k_euler", "Euler", "EulerDiscreteScheduler"),
    "LMS": Row("lms", "k_lms", "LMS", "LMSDiscreteScheduler"),
    "Heun": Row("heun", "k_heun", "Heun", "HeunDiscreteScheduler"),
    "DPM2": Row("dpm_2", "k_dpm_2", "DPM2", "KDPM2DiscreteScheduler"),
    "DPM2 a": Row("dpm_2_ancestral", "k_dpm_2_a", "DPM2A", "KDPM2AncestralDiscreteScheduler"),
    "DPM++ 2S a": Row("dpmpp_2s_ancestral", "k_dpmpp_2s_a", "DPM2SA", None),
    "DPM++ 2M": Row("dpmpp_2m", "k_dpmpp_2m", "DPM2M", "DPMSolverMultistepScheduler"),
    "DPM++ SDE": Row(
        "dpmpp_sde",
        "k_dpmpp_sde",
        "DPMSDE",
        "DPMSolverSinglestepScheduler",
        {"algorithm_type": "sde-dpmsolver++"},
    ),
    "DPM++ 2M SDE": Row(
        "dpmpp_2m_sde", None, None, "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}
    ),
    "DPM fast": Row("dpm_fast", "k_dpm_fast", "DPMFast", None, uniform=False),
    "DPM adaptive": Row("dpm_adaptive", "k_dpm_adaptive", "DPMAdaptive", None, uniform=False),
    "DDIM": Row(
        "ddim", "DDIM", "DDIM", "DDIMScheduler", uniform=False, comfyui_schedule="ddim_uniform"
    ),
    "PLMS": Row(None, None, "PLMS", "PNDMScheduler", {"skip_prk_steps": True}, uniform=False),
    "UniPC": Row("uni_pc", None, "UniPC", "UniPCMultistepScheduler", uniform=False),
    "LCM": Row("lcm", "lcm", "LCM", "LCMScheduler", uniform=False),
}  # fmt: skip

_CIVITAI_KARRAS = ("LMS", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ 2M", "DPM++ SDE")
"""The samplers that Civitai's SDK also has as "…Karras"."""

_NEAREST: dict[str, tuple[str, ...]] = {
    "Euler a": ("Euler", "DPM2 a"),
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
}
"""Samplers of the same order and kind first; the schedule is kept where the substitute has it."""


def split(name: str) -> tuple[str, bool]:
    """``"DPM++ 2M Karras"`` → ``("DPM++ 2M", True)``."""
    return name.removesuffix(KARRAS), name.endswith(KARRAS)


def join(sampler: str, karras: bool) -> str | None:
    """The name of a sampler with a schedule; None where a call has no name for the two together."""
    name = sampler + KARRAS if karras else sampler
    return name if name in SAMPLERS else None


def a1111(name: str) -> tuple[str, str]:
    """Sampler and schedule label, as A1111 1.9 and later take them.

    There "Automatic" would give DPM++ 2M its Karras schedule, so a plain name says "Uniform".
    """
    sampler, karras = split(name)
    plain = "Uniform" if TABLE[sampler].uniform else "Automatic"
    return sampler, "Karras" if karras else plain


def comfyui(name: str) -> tuple[str, str] | None:
    """``sampler_name`` and ``scheduler`` of a KSampler node."""
    sampler, karras = split(name)
    row = TABLE[sampler]
    return (row.comfyui, "karras" if karras else row.comfyui_schedule) if row.comfyui else None


def horde(name: str) -> tuple[str, bool] | None:
    """``sampler_name`` and ``karras``."""
    sampler, karras = split(name)
    spelling = TABLE[sampler].horde
    return (spelling, karras) if spelling else None


def civitai(name: str) -> str | None:
    """The ``scheduler`` of Civitai's SDK."""
    sampler, karras = split(name)
    spelling = TABLE[sampler].civitai
    if spelling is None or (karras and sampler not in _CIVITAI_KARRAS):
        return None
    return f"{spelling}Karras" if karras else spelling


def diffusers(name: str) -> tuple[str, dict[str, Any]] | None:
    """A scheduler's class name and what its configuration changes."""
    sampler, karras = split(name)
    row = TABLE[sampler]
    if row.diffusers is None:
        return None
    return row.diffusers, row.kwargs | ({"use_karras_sigmas": True} if karras else {})


_SPELLINGS: dict[str, Callable[[str], object | None]] = {
    "a1111": a1111,
    "comfyui": comfyui,
    "horde": horde,
    "civitai": civitai,
    "diffusers": diffusers,
}


def supported(target: str) -> tuple[str, ...]:
    """The samplers of a call that a target has, all where it takes no sampler at all."""
    spell = _SPELLINGS.get(target)
    return SAMPLERS if spell is None else tuple(name for name in SAMPLERS if spell(name) is not None)


def nearest(name: str, known: Collection[str]) -> str | None:
    """The sampler among ``known`` that comes nearest to ``name``; None where none is like it."""
    sampler, karras = split(name)
    for one in (sampler, *_NEAREST[sampler]):
        for schedule in (karras, not karras):
            found = join(one, schedule)
            if found in known and found is not None:
                return found
    return None


def named(target: str, spelling: object) -> str | None:
    """The call's name of what a target calls ``spelling`` (as this module's functions give it)."""
    spell = _SPELLINGS[target]
    return next((name for name in SAMPLERS if spell(name) == spelling), None)
