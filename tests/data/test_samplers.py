"""The table of samplers: every published list is read, and every target's spelling is read back."""

from __future__ import annotations

import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffagent.agent.targets import TABLE, load
from diffagent.data.errors import BadInput
from diffagent.data.sampler_table import SAMPLER_ROWS, SCHEDULER_ROWS
from diffagent.data.samplers import ALL_SAMPLERS, Sampler, is_joined, join, nearest, read, split

COMFYUI = [
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2",
    "exp_heun_2_x0", "exp_heun_2_x0_sde", "dpm_2", "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive",
    "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde", "dpmpp_2m_sde_heun", "dpmpp_3m_sde", "ddpm", "lcm", "ipndm", "ipndm_v", "deis",
    "cfgpp_ud10_ab", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde",
    "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2",
]  # fmt: skip
COMFYUI_GPU = [
    "dpmpp_sde_gpu", "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde_gpu",
]  # fmt: skip
COMFYUI_SCHEDULES = [
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal",
    "linear_quadratic", "kl_optimal",
]  # fmt: skip
A1111 = [
    "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 2S a", "DPM++ 3M SDE",
    "Euler a", "Euler", "LMS", "Heun", "DPM2", "DPM2 a", "DPM fast", "DPM adaptive", "Restart", "DDIM",
    "DDIM CFG++", "PLMS", "UniPC", "LCM",
]  # fmt: skip
FORKS = [
    "DDPM", "HeunPP2", "IPNDM", "IPNDM_V", "DEIS", "Euler CFG++", "Euler a CFG++", "ER SDE",
    "Res Multistep", "Kohaku LoNyu Yog", "DPM++ 2M CFG++", "DPM++ 2S Ancestral CFG++",
    "RES Multistep CFG++", "RES Multistep Ancestral", "RES Multistep Ancestral CFG++",
    "Gradient Estimation", "Gradient Estimation CFG++", "SEEDS 2 DP", "SEEDS 3 DP", "SA-Solver",
    "SA-Solver-Pece",
]  # fmt: skip
A1111_SCHEDULES = [
    "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal", "Align Your Steps",
    "Simple", "Normal", "DDIM", "Beta",
]  # fmt: skip
FORK_SCHEDULES = [
    "Turbo", "Linear Quadratic", "Bong Tangent", "Align Your Steps GITS", "Align Your Steps 11",
    "Align Your Steps 32", "Sigmoid Offset", "Phi", "Laplace", "Variance Preserving", "Flux2",
    "FlowMatchEulerDiscrete",
]  # fmt: skip
HORDE = [
    "k_lms", "k_heun", "k_euler", "k_euler_a", "k_dpm_2", "k_dpm_2_a", "k_dpm_fast", "k_dpm_adaptive",
    "k_dpmpp_2s_a", "k_dpmpp_2m", "k_dpmpp_sde", "DDIM", "lcm",
]  # fmt: skip
CIVITAI = [
    "EulerA", "Euler", "LMS", "Heun", "DPM2", "DPM2A", "DPM2SA", "DPM2M", "DPMSDE", "DPMFast",
    "DPMAdaptive", "LMSKarras", "DPM2Karras", "DPM2AKarras", "DPM2SAKarras", "DPM2MKarras",
    "DPMSDEKarras", "DDIM", "PLMS", "UniPC", "LCM", "DDPM", "DEIS",
]  # fmt: skip
SDCPP = [
    "euler", "euler_a", "heun", "dpm2", "dpm++2s_a", "dpm++2m", "dpm++2mv2", "ipndm", "ipndm_v", "lcm",
    "ddim_trailing", "tcd", "res_multistep", "res_2s", "er_sde", "euler_cfg_pp", "euler_a_cfg_pp",
    "euler_ge", "dpm++2m_sde", "dpm++2m_sde_bt", "lms",
]  # fmt: skip
SDCPP_SCHEDULES = [
    "karras", "exponential", "ays", "gits", "smoothstep", "sgm_uniform", "simple", "kl_optimal", "lcm",
    "bong_tangent", "beta", "flux2",
]  # fmt: skip
SDNEXT = [
    "UniPC", "DDIM", "Euler", "Euler a", "Euler SGM", "Euler EDM", "Euler FlowMatch", "DPM++",
    "DPM++ 2M", "DPM++ 3M", "DPM++ 1S", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M EDM", "DPM++ Cosine",
    "DPM SDE", "UniPC FlowMatch", "DPM2 FlowMatch", "DPM2a FlowMatch", "DPM2++ 2M FlowMatch",
    "DPM2++ 2S FlowMatch", "DPM2++ SDE FlowMatch", "DPM2++ 2M SDE FlowMatch", "DPM2++ 3M SDE FlowMatch",
    "Heun", "Heun FlowMatch", "DEIS", "SA Solver", "DC Solver", "VDM Solver", "BDIA DDIM", "PNDM",
    "IPNDM", "DDPM", "LMSD", "KDPM2", "KDPM2 a", "CMSI", "LCM", "LCM FlowMatch", "TCD", "TDD",
    "PeRFlow", "UFOGen",
]  # fmt: skip
RES4LYF = [
    "res_2m", "res_2m_sde", "res_3m", "res_2s", "res_2s_sde", "res_3s", "deis_2m", "deis_3m",
]  # fmt: skip


@pytest.mark.parametrize(
    "label",
    [*COMFYUI, *COMFYUI_GPU, *A1111, *FORKS, *HORDE, *CIVITAI, *SDCPP, *SDNEXT, *RES4LYF],
)
def test_every_published_name_is_a_sampler(label: str) -> None:
    assert read(label) is not None


@pytest.mark.parametrize(
    "label",
    [*COMFYUI_SCHEDULES, *A1111_SCHEDULES, *FORK_SCHEDULES, *SDCPP_SCHEDULES, "bong_tangent", "beta57"],
)
def test_every_published_schedule_is_a_schedule(label: str) -> None:
    sampler = read("Euler", label)
    assert sampler is not None
    assert sampler.scheduler is not None


@pytest.mark.parametrize(
    "label", ["Default", "Same as primary", "DPM++ 2M Inverse", "dpmsolver", "Undefined", ""]
)
def test_what_names_no_sampler_is_none(label: str) -> None:
    assert read(label) is None


@pytest.mark.parametrize("label", ["", "Uniform", "discrete", "default", None])
def test_no_schedule_is_none(label: str | None) -> None:
    assert read("Euler", label) == ("Euler", None)


def test_the_targets_have_what_their_programs_list() -> None:
    def spelled(column: str) -> set[str]:
        return {name for row in SAMPLER_ROWS if (name := getattr(row, column))}

    def scheduled(column: str) -> set[str]:
        return {name for row in SCHEDULER_ROWS if (name := getattr(row, column))}

    assert spelled("comfyui") == {*COMFYUI, *RES4LYF}
    assert {row.comfyui for row in SAMPLER_ROWS if row.pack} == set(RES4LYF)
    assert scheduled("comfyui") == {*COMFYUI_SCHEDULES, "bong_tangent", "beta57"}
    assert spelled("a1111") == {*A1111, *FORKS}
    assert scheduled("a1111") == {*A1111_SCHEDULES, *FORK_SCHEDULES}
    assert spelled("horde") == set(HORDE)
    assert spelled("civitai") == {name for name in CIVITAI if not name.endswith("Karras")}
    assert {load("civitai").spelling(sampler) for sampler in load("civitai").samplers} == set(CIVITAI)  # type: ignore[misc]
    assert spelled("sdcpp") == {*SDCPP} - {"dpm++2mv2", "dpm++2m_sde_bt"}
    assert scheduled("sdcpp") == {*SDCPP_SCHEDULES, "normal"}
    variants = {name for name in SDNEXT if name.endswith(("FlowMatch", "SGM"))} | {"DPM SDE"}
    assert spelled("sdnext") == set(SDNEXT) - variants


@pytest.mark.parametrize("target", [name for name in TABLE if name != "openai"])
def test_a_targets_spelling_means_one_sampler(target: str) -> None:
    api = load(target)
    assert api.spelling is not None
    meanings: dict[str, Sampler] = {}
    for sampler in api.spelled:
        meaning = meanings.setdefault(repr(api.spelling(sampler)), sampler)
        assert meaning == sampler or meaning._replace(scheduler=None) == sampler._replace(scheduler=None)
        assert api.sampler_of(api.spelling(sampler)) == meaning
    assert len(api.samplers) > 10


def test_extensions_samplers_need_a_server_that_has_them() -> None:
    api = load("comfyui")
    assert Sampler("Res 2S", "Bong Tangent") in api.spelled
    assert not {Sampler("Res 2S"), Sampler("Euler", "Bong Tangent")} & set(api.samplers)


def test_diffusers_classes_take_what_they_are_given() -> None:
    diffusers = pytest.importorskip("diffusers")
    for sampler in load("diffusers").samplers:
        name, kwargs = load("diffusers").spelling(sampler)  # type: ignore[misc]
        parameters = inspect.signature(getattr(diffusers, name).__init__).parameters
        assert set(kwargs) <= set(parameters), sampler


@pytest.mark.parametrize(
    ("label", "schedule", "sampler"),
    [
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "Karras")),
        ("dpmpp_2m", "karras", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M", "Karras", ("DPM++ 2M", "Karras")),
        ("DPM2MKarras", None, ("DPM++ 2M", "Karras")),
        ("k_dpmpp_2m_ka", None, ("DPM++ 2M", "Karras")),
        ("k_dpmpp_2m", None, ("DPM++ 2M", None)),
        ("dpmpp_2m_karras", None, ("DPM++ 2M", "Karras")),
        ("DPM++ 2M Karras", "Exponential", ("DPM++ 2M", "Karras")),
        ("DPM++ 2M", "Automatic", ("DPM++ 2M", "Karras")),
        ("Euler", "Automatic", ("Euler", None)),
        ("Euler SGM", None, ("Euler", "SGM Uniform")),
        ("euler", "AYS SDXL", ("Euler", "Align Your Steps")),
        ("euler", "GITS[coeff=1.2]", ("Euler", "GITS")),
        ("res_multistep", "bong_tangent", ("Res Multistep", "Bong Tangent")),
        ("er_sde", "kl_optimal", ("ER SDE", "KL Optimal")),
        ("Euler", "sideways", None),
    ],
)
def test_one_sampler_has_many_spellings(
    label: str, schedule: str | None, sampler: tuple[str, str | None] | None
) -> None:
    assert read(label, schedule) == sampler


@given(st.sampled_from(ALL_SAMPLERS))
def test_names_are_split_and_joined(sampler: Sampler) -> None:
    assert split(str(sampler)) == read(str(sampler)) == sampler
    assert is_joined(join(sampler))
    assert read(sampler.method, sampler.scheduler) == sampler
    assert nearest(sampler, {sampler}) == sampler


@given(st.text(max_size=200), st.none() | st.text(max_size=200))
def test_any_text_is_a_sampler_or_none(label: str, schedule: str | None) -> None:
    sampler = read(label, schedule)
    assert sampler is None or sampler in ALL_SAMPLERS


def test_an_unknown_name_is_told_with_its_neighbours() -> None:
    with pytest.raises(BadInput, match=r"'DPM\+\+ 2M Kerras': near are DPM\+\+ 2M Karras"):
        split("DPM++ 2M Kerras")
    assert not is_joined(["Euler"])


def test_a_substitute_keeps_the_kind_before_the_schedule() -> None:
    samplers = {Sampler("DPM++ 2M"), Sampler("Euler", "Bong Tangent"), Sampler("Euler", "Beta")}
    assert nearest(Sampler("Res 2M", "Bong Tangent"), samplers) == Sampler("DPM++ 2M")
    assert nearest(Sampler("Euler", "Beta57"), samplers) == Sampler("Euler", "Beta")
    assert nearest(Sampler("LMS"), {Sampler("PLMS")}) is None
