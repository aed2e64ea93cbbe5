"""Samplers and schedules, one row each, with every program's name for them.

A row's ``name`` is A1111's, or that of the only program that has it. A column is None where a program lacks
the sampler. ``others`` are spellings that are read but never written. A new sampler is a new row here.

Sources: A1111 ``modules/sd_samplers_kdiffusion.py``, ``sd_samplers_timesteps.py``, ``sd_schedulers.py``;
Forge, reForge, Forge Neo ``modules_forge/alter_samplers.py``, too; ComfyUI ``comfy/samplers.py``;
RES4LYF ``beta/__init__.py``; diffusers ``docs/source/en/api/schedulers/overview.md``; AI Horde
``horde/apis/models/stable_v2.py``; Civitai's SDKs ``Scheduler``; stable-diffusion.cpp
``examples/common/common.cpp`` (Civitai's engine ``sdcpp``); SD.Next ``modules/sd_samplers_diffusers.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SamplerRow:
    """One sampler.

    ``near`` are its substitutes, those of the same order and kind first. ``comfyui`` is a KSampler's
    ``sampler_name``, and ``pack`` the custom nodes that bring it, where ComfyUI itself does not.
    ``diffusers`` is a scheduler's class and what its configuration changes. ``automatic`` is the schedule
    that A1111 means by "Automatic"; None: the sampler's own.
    """

    name: str
    near: tuple[str, ...]
    a1111: str | None = None
    comfyui: str | None = None
    pack: str | None = None
    diffusers: tuple[str, Mapping[str, Any]] | None = None
    horde: str | None = None
    civitai: str | None = None
    sdcpp: str | None = None
    sdnext: str | None = None
    automatic: str | None = None
    others: tuple[str, ...] = ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name that means it, its own first."""
        columns = (self.a1111, self.comfyui, self.horde, self.civitai, self.sdcpp, self.sdnext)
        return (self.name, *(name for name in columns if name), *self.others)


@dataclass(frozen=True)
class SchedulerRow:
    """One schedule; ``diffusers`` is what it changes in a scheduler's configuration."""

    name: str
    near: tuple[str | None, ...]
    a1111: str | None = None
    comfyui: str | None = None
    pack: str | None = None
    diffusers: Mapping[str, Any] | None = None
    sdcpp: str | None = None
    sdnext: str | None = None
    others: tuple[str, ...] = ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name that means it, its own first."""
        columns = (self.a1111, self.comfyui, self.sdcpp, self.sdnext)
        return (self.name, *(name for name in columns if name), *self.others)


_RES4LYF = "RES4LYF"
_SDE: Mapping[str, Any] = {"algorithm_type": "sde-dpmsolver++"}

SAMPLER_ROWS: tuple[SamplerRow, ...] = (
    SamplerRow(
        "Euler a", ("Euler", "DPM2 a"), a1111="Euler a", comfyui="euler_ancestral",
        diffusers=("EulerAncestralDiscreteScheduler", {}), horde="k_euler_a", civitai="EulerA",
        sdcpp="euler_a", sdnext="Euler a", others=("Euler Ancestral", "k_euler_ancestral"),
    ),
    SamplerRow(
        "Euler", ("Euler a", "Heun"), a1111="Euler", comfyui="euler",
        diffusers=("EulerDiscreteScheduler", {}), horde="k_euler", civitai="Euler", sdcpp="euler",
        sdnext="Euler",
    ),
    SamplerRow(
        "LMS", ("DPM++ 2M", "Euler"), a1111="LMS", comfyui="lms", diffusers=("LMSDiscreteScheduler", {}),
        horde="k_lms", civitai="LMS", sdcpp="lms", sdnext="LMSD",
    ),
    SamplerRow(
        "Heun", ("DPM2", "Euler"), a1111="Heun", comfyui="heun", diffusers=("HeunDiscreteScheduler", {}),
        horde="k_heun", civitai="Heun", sdcpp="heun", sdnext="Heun",
    ),
    SamplerRow(
        "DPM2", ("Heun", "DPM++ 2M"), a1111="DPM2", comfyui="dpm_2",
        diffusers=("KDPM2DiscreteScheduler", {}), horde="k_dpm_2", civitai="DPM2", sdcpp="dpm2",
        sdnext="KDPM2", automatic="Karras",
    ),
    SamplerRow(
        "DPM2 a", ("DPM++ 2S a", "Euler a"), a1111="DPM2 a", comfyui="dpm_2_ancestral",
        diffusers=("KDPM2AncestralDiscreteScheduler", {}), horde="k_dpm_2_a", civitai="DPM2A",
        sdnext="KDPM2 a", automatic="Karras", others=("DPM2 Ancestral",),
    ),
    SamplerRow(
        "DPM++ 2S a", ("DPM++ 2M", "DPM++ SDE", "Euler a"), a1111="DPM++ 2S a",
        comfyui="dpmpp_2s_ancestral", horde="k_dpmpp_2s_a", civitai="DPM2SA", sdcpp="dpm++2s_a",
        automatic="Karras", others=("DPM++ 2S Ancestral", "DPM++ 2S a RF", "dpmpp_2s_a"),
    ),
    SamplerRow(
        "DPM++ 2M", ("DPM++ 2M SDE", "UniPC", "Euler"), a1111="DPM++ 2M", comfyui="dpmpp_2m",
        diffusers=("DPMSolverMultistepScheduler", {}), horde="k_dpmpp_2m", civitai="DPM2M", sdcpp="dpm++2m",
        sdnext="DPM++ 2M", automatic="Karras", others=("dpm++2mv2", "DPM2++ 2M"),
    ),
    SamplerRow(
        "DPM++ SDE", ("DPM++ 2M SDE", "DPM++ 2S a", "DPM++ 2M"), a1111="DPM++ SDE", comfyui="dpmpp_sde",
        diffusers=("DPMSolverSinglestepScheduler", _SDE), horde="k_dpmpp_sde", civitai="DPMSDE",
        sdnext="DPM++ SDE", automatic="Karras", others=("dpmpp_sde_gpu", "DPM SDE", "DPM2++ SDE"),
    ),
    SamplerRow(
        "DPM++ 2M SDE", ("DPM++ SDE", "DPM++ 2M", "Euler a"), a1111="DPM++ 2M SDE", comfyui="dpmpp_2m_sde",
        diffusers=("DPMSolverMultistepScheduler", _SDE), sdcpp="dpm++2m_sde", sdnext="DPM++ 2M SDE",
        automatic="Exponential", others=("dpmpp_2m_sde_gpu", "dpm++2m_sde_bt", "DPM2++ 2M SDE"),
    ),
    SamplerRow(
        "DPM fast", ("DPM++ 2M", "Euler"), a1111="DPM fast", comfyui="dpm_fast", horde="k_dpm_fast",
        civitai="DPMFast",
    ),
    SamplerRow(
        "DPM adaptive", ("DPM++ 2M", "Heun"), a1111="DPM adaptive", comfyui="dpm_adaptive",
        horde="k_dpm_adaptive", civitai="DPMAdaptive", others=("k_dpm_ad",),
    ),
    SamplerRow(
        "DDIM", ("Euler", "PLMS"), a1111="DDIM", comfyui="ddim", diffusers=("DDIMScheduler", {}),
        horde="DDIM", civitai="DDIM", sdcpp="ddim_trailing", sdnext="DDIM",
    ),
    SamplerRow(
        "PLMS", ("LMS", "DDIM", "Euler"), a1111="PLMS",
        diffusers=("PNDMScheduler", {"skip_prk_steps": True}), civitai="PLMS", sdnext="PNDM",
    ),
    SamplerRow(
        "UniPC", ("DPM++ 2M", "Euler"), a1111="UniPC", comfyui="uni_pc",
        diffusers=("UniPCMultistepScheduler", {}), civitai="UniPC", sdnext="UniPC",
    ),
    SamplerRow(
        "LCM", ("Euler a", "Euler"), a1111="LCM", comfyui="lcm", diffusers=("LCMScheduler", {}),
        horde="lcm", civitai="LCM", sdcpp="lcm", sdnext="LCM", others=("k_lcm",),
    ),
    SamplerRow(
        "DPM++ 2M SDE Heun", ("DPM++ 2M SDE", "DPM++ SDE", "DPM++ 2M", "Euler a"),
        a1111="DPM++ 2M SDE Heun", comfyui="dpmpp_2m_sde_heun",
        diffusers=("DPMSolverMultistepScheduler", {**_SDE, "solver_type": "heun"}), automatic="Exponential",
        others=("dpmpp_2m_sde_heun_gpu",),
    ),
    SamplerRow(
        "DPM++ 3M SDE", ("DPM++ 2M SDE", "DPM++ SDE", "DPM++ 2M", "Euler a"), a1111="DPM++ 3M SDE",
        comfyui="dpmpp_3m_sde", diffusers=("DPMSolverMultistepScheduler", {**_SDE, "solver_order": 3}),
        automatic="Exponential", others=("dpmpp_3m_sde_gpu", "DPM2++ 3M SDE"),
    ),
    SamplerRow("Restart", ("Heun", "DPM++ 2M", "Euler"), a1111="Restart", automatic="Karras"),
    SamplerRow("Heun++ 2", ("Heun", "DPM2", "Euler"), a1111="HeunPP2", comfyui="heunpp2"),
    SamplerRow(
        "IPNDM", ("LMS", "DPM++ 2M", "Euler"), a1111="IPNDM", comfyui="ipndm",
        diffusers=("IPNDMScheduler", {}), sdcpp="ipndm", sdnext="IPNDM",
    ),
    SamplerRow(
        "IPNDM V", ("IPNDM", "LMS", "DPM++ 2M", "Euler"), a1111="IPNDM_V", comfyui="ipndm_v",
        sdcpp="ipndm_v",
    ),
    SamplerRow(
        "DEIS", ("UniPC", "DPM++ 2M", "Euler"), a1111="DEIS", comfyui="deis",
        diffusers=("DEISMultistepScheduler", {}), civitai="DEIS", sdnext="DEIS",
    ),
    SamplerRow(
        "DDPM", ("Euler a", "Euler"), a1111="DDPM", comfyui="ddpm", diffusers=("DDPMScheduler", {}),
        civitai="DDPM", sdnext="DDPM",
    ),
    SamplerRow(
        "Res Multistep", ("DPM++ 2M", "Euler"), a1111="Res Multistep", comfyui="res_multistep",
        sdcpp="res_multistep",
    ),
    SamplerRow(
        "Res Multistep a", ("DPM++ 2S a", "Euler a"), a1111="RES Multistep Ancestral",
        comfyui="res_multistep_ancestral",
    ),
    SamplerRow(
        "Res Multistep CFG++", ("Res Multistep", "DPM++ 2M", "Euler"), a1111="RES Multistep CFG++",
        comfyui="res_multistep_cfg_pp",
    ),
    SamplerRow(
        "Res Multistep a CFG++", ("Res Multistep a", "DPM++ 2S a", "Euler a"),
        a1111="RES Multistep Ancestral CFG++", comfyui="res_multistep_ancestral_cfg_pp",
    ),
    SamplerRow(
        "Euler CFG++", ("Euler", "DDIM"), a1111="Euler CFG++", comfyui="euler_cfg_pp", sdcpp="euler_cfg_pp",
    ),
    SamplerRow(
        "Euler a CFG++", ("Euler a", "Euler"), a1111="Euler a CFG++", comfyui="euler_ancestral_cfg_pp",
        sdcpp="euler_a_cfg_pp", others=("Euler Ancestral CFG++",),
    ),
    SamplerRow(
        "DPM++ 2S a CFG++", ("DPM++ 2S a", "Euler a CFG++", "Euler a"), a1111="DPM++ 2S Ancestral CFG++",
        comfyui="dpmpp_2s_ancestral_cfg_pp",
    ),
    SamplerRow(
        "DPM++ 2M CFG++", ("DPM++ 2M", "Euler CFG++", "Euler"), a1111="DPM++ 2M CFG++",
        comfyui="dpmpp_2m_cfg_pp",
    ),
    SamplerRow("DDIM CFG++", ("DDIM", "Euler"), a1111="DDIM CFG++"),
    SamplerRow("CFG++ UD10 AB", ("DPM++ 2M CFG++", "DPM++ 2M", "Euler"), comfyui="cfgpp_ud10_ab"),
    SamplerRow(
        "Gradient Estimation", ("Euler", "DPM++ 2M"), a1111="Gradient Estimation",
        comfyui="gradient_estimation", sdcpp="euler_ge",
    ),
    SamplerRow(
        "Gradient Estimation CFG++", ("Gradient Estimation", "Euler CFG++", "Euler"),
        a1111="Gradient Estimation CFG++", comfyui="gradient_estimation_cfg_pp",
    ),
    SamplerRow(
        "ER SDE", ("DPM++ 2M SDE", "DPM++ SDE", "Euler a"), a1111="ER SDE", comfyui="er_sde",
        sdcpp="er_sde", others=("Extended Reverse SDE",),
    ),
    SamplerRow(
        "SA Solver", ("DPM++ 2M SDE", "DPM++ SDE", "Euler a"), a1111="SA-Solver", comfyui="sa_solver",
        diffusers=("SASolverScheduler", {}), sdnext="SA Solver",
    ),
    SamplerRow(
        "SA Solver PECE", ("SA Solver", "DPM++ 2M SDE", "DPM++ SDE", "Euler a"), a1111="SA-Solver-Pece",
        comfyui="sa_solver_pece",
    ),
    SamplerRow("Seeds 2", ("DPM++ SDE", "DPM++ 2S a", "Euler a"), a1111="SEEDS 2 DP", comfyui="seeds_2"),
    SamplerRow("Seeds 3", ("Seeds 2", "DPM++ SDE", "Euler a"), a1111="SEEDS 3 DP", comfyui="seeds_3"),
    SamplerRow("Exp Heun 2 X0", ("Heun", "DPM2", "Euler"), comfyui="exp_heun_2_x0"),
    SamplerRow("Exp Heun 2 X0 SDE", ("Seeds 2", "DPM++ SDE", "Euler a"), comfyui="exp_heun_2_x0_sde"),
    SamplerRow("UniPC BH2", ("UniPC", "DPM++ 2M", "Euler"), comfyui="uni_pc_bh2"),
    SamplerRow("Kohaku LoNyu Yog", ("Euler a", "Euler"), a1111="Kohaku LoNyu Yog"),
    SamplerRow(
        "TCD", ("LCM", "Euler a", "Euler"), diffusers=("TCDScheduler", {}), sdcpp="tcd", sdnext="TCD",
    ),
    SamplerRow("TDD", ("TCD", "LCM", "Euler"), sdnext="TDD"),
    SamplerRow("Res 2M", ("Res Multistep", "DPM++ 2M", "Euler"), comfyui="res_2m", pack=_RES4LYF),
    SamplerRow("Res 2M SDE", ("ER SDE", "DPM++ 2M SDE", "Euler a"), comfyui="res_2m_sde", pack=_RES4LYF),
    SamplerRow("Res 3M", ("Res 2M", "Res Multistep", "DPM++ 2M", "Euler"), comfyui="res_3m", pack=_RES4LYF),
    SamplerRow("Res 2S", ("Heun", "DPM2", "Euler"), comfyui="res_2s", pack=_RES4LYF, sdcpp="res_2s"),
    SamplerRow("Res 2S SDE", ("DPM++ SDE", "Euler a"), comfyui="res_2s_sde", pack=_RES4LYF),
    SamplerRow("Res 3S", ("Res 2S", "Heun", "DPM2", "Euler"), comfyui="res_3s", pack=_RES4LYF),
    SamplerRow("DEIS 2M", ("DEIS", "UniPC", "DPM++ 2M", "Euler"), comfyui="deis_2m", pack=_RES4LYF),
    SamplerRow("DEIS 3M", ("DEIS", "UniPC", "DPM++ 2M", "Euler"), comfyui="deis_3m", pack=_RES4LYF),
    SamplerRow(
        "DPM++ 1M", ("DDIM", "Euler"), diffusers=("DPMSolverMultistepScheduler", {"solver_order": 1}),
        sdnext="DPM++",
    ),
    SamplerRow(
        "DPM++ 3M", ("DPM++ 2M", "UniPC", "Euler"),
        diffusers=("DPMSolverMultistepScheduler", {"solver_order": 3}), sdnext="DPM++ 3M",
    ),
    SamplerRow(
        "DPM++ 2S", ("DPM2", "Heun", "Euler"), diffusers=("DPMSolverSinglestepScheduler", {}),
        sdnext="DPM++ 1S", others=("DPM2++ 2S",),
    ),
    SamplerRow("Euler EDM", ("Euler",), diffusers=("EDMEulerScheduler", {}), sdnext="Euler EDM"),
    SamplerRow(
        "DPM++ 2M EDM", ("DPM++ 2M", "Euler"), diffusers=("EDMDPMSolverMultistepScheduler", {}),
        sdnext="DPM++ 2M EDM",
    ),
    SamplerRow("DPM++ Cosine", ("DPM++ 2M SDE", "DPM++ 2M", "Euler"), sdnext="DPM++ Cosine"),
    SamplerRow("DC Solver", ("UniPC", "DPM++ 2M", "Euler"), sdnext="DC Solver"),
    SamplerRow("VDM Solver", ("DDPM", "Euler a"), sdnext="VDM Solver"),
    SamplerRow("BDIA DDIM", ("DDIM", "Euler"), sdnext="BDIA DDIM"),
    SamplerRow("PeRFlow", ("DDIM", "Euler"), sdnext="PeRFlow"),
    SamplerRow("UFOGen", ("LCM", "Euler a"), sdnext="UFOGen"),
    SamplerRow("CMSI", ("LCM", "Euler a"), sdnext="CMSI"),
)  # fmt: skip
"""Every ``sampling_method`` that a call may name."""

SCHEDULER_ROWS: tuple[SchedulerRow, ...] = (
    SchedulerRow(
        "Karras", (None,), a1111="Karras", comfyui="karras", diffusers={"use_karras_sigmas": True},
        sdcpp="karras", sdnext="karras", others=("ka",),
    ),
    SchedulerRow(
        "Exponential", ("Polyexponential", "Karras", None), a1111="Exponential", comfyui="exponential",
        diffusers={"use_exponential_sigmas": True}, sdcpp="exponential", sdnext="exponential",
    ),
    SchedulerRow("Polyexponential", ("Exponential", "Karras", None), a1111="Polyexponential"),
    SchedulerRow(
        "SGM Uniform", ("Simple", "Normal", None), a1111="SGM Uniform", comfyui="sgm_uniform",
        diffusers={"timestep_spacing": "trailing"}, sdcpp="sgm_uniform", others=("SGMUniform", "SGM"),
    ),
    SchedulerRow(
        "Simple", ("SGM Uniform", "Normal", None), a1111="Simple", comfyui="simple",
        diffusers={"timestep_spacing": "trailing"}, sdcpp="simple",
    ),
    SchedulerRow(
        "Beta", ("Simple", "Normal", None), a1111="Beta", comfyui="beta",
        diffusers={"use_beta_sigmas": True}, sdcpp="beta", sdnext="betas",
    ),
    SchedulerRow("Normal", (None, "Simple"), a1111="Normal", comfyui="normal", sdcpp="normal"),
    SchedulerRow("DDIM Uniform", ("SGM Uniform", None), a1111="DDIM", comfyui="ddim_uniform"),
    SchedulerRow(
        "Align Your Steps", ("Karras", None), a1111="Align Your Steps", sdcpp="ays",
        others=("AYS SD1", "AYS SDXL", "AYS SVD"),
    ),
    SchedulerRow(
        "KL Optimal", ("Karras", None), a1111="KL Optimal", comfyui="kl_optimal", sdcpp="kl_optimal",
    ),
    SchedulerRow("Turbo", ("SGM Uniform", "Simple", None), a1111="Turbo", others=("SD Turbo",)),
    SchedulerRow(
        "Linear Quadratic", ("Simple", None), a1111="Linear Quadratic", comfyui="linear_quadratic",
    ),
    SchedulerRow(
        "Bong Tangent", ("Beta", "Simple", "Normal", None), a1111="Bong Tangent", comfyui="bong_tangent",
        pack=_RES4LYF, sdcpp="bong_tangent",
    ),
    SchedulerRow("Beta57", ("Beta", "Simple", "Normal", None), comfyui="beta57", pack=_RES4LYF),
    SchedulerRow("GITS", ("Align Your Steps", "Karras", None), sdcpp="gits"),
    SchedulerRow("Smoothstep", ("Normal", None), sdcpp="smoothstep"),
    SchedulerRow("LCM", ("SGM Uniform", "Simple", None), sdcpp="lcm"),
    SchedulerRow(
        "Align Your Steps GITS", ("Align Your Steps", "Karras", None), a1111="Align Your Steps GITS",
    ),
    SchedulerRow("Align Your Steps 11", ("Align Your Steps", "Karras", None), a1111="Align Your Steps 11"),
    SchedulerRow("Align Your Steps 32", ("Align Your Steps", "Karras", None), a1111="Align Your Steps 32"),
    SchedulerRow("Sigmoid Offset", ("Simple", None), a1111="Sigmoid Offset"),
    SchedulerRow("Phi", ("Karras", None), a1111="Phi"),
    SchedulerRow("Laplace", ("Karras", None), a1111="Laplace"),
    SchedulerRow("Variance Preserving", ("Karras", None), a1111="Variance Preserving", others=("VP",)),
    SchedulerRow("Flux2", ("Simple", "SGM Uniform", None), a1111="Flux2", sdcpp="flux2"),
    SchedulerRow(
        "Flow Match", ("Simple", "SGM Uniform", None), a1111="FlowMatchEulerDiscrete", sdnext="flowmatch",
    ),
    SchedulerRow("Lambdas", ("Karras", None), diffusers={"use_lu_lambdas": True}, sdnext="lambdas"),
)  # fmt: skip
"""Every ``scheduler`` that a call may name."""

COMFYUI_PLAIN = "normal"
"""ComfyUI's schedule where a call names none."""
COMFYUI_OWN = {"DDIM": "ddim_uniform"}
"""Samplers that have another one there."""
PLAIN = ("", "Uniform", "Discrete", "Default")
"""What programs write where a sampler runs at its own noise levels: a call's null."""
