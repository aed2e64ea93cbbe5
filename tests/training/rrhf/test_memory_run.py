"""The paper's form end to end on a tiny Llama: fine-tuned from memory, aligned by suitability, Table 1."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from graded_requests import OIL, PIXELS, XL, request
from stand_ins import plain_suitability, quiet

from diffagent.agent.agent import Agent
from diffagent.training.evaluation.memory_table import PromptSet, answers, table
from diffagent.training.rewards.suited import SuitabilityReward
from diffagent.training.rrhf.align import align
from diffagent.training.rrhf.collecting import AlignmentTask
from diffagent.training.rrhf.config import RRHFConfig, read_config
from diffagent.training.rrhf.queries import default_card, request_queries
from diffagent.training.sft.dialogues import Mix
from diffagent.training.sft.recipe import SftRecipe
from diffagent.training.sft.sft import train
from diffagent.training.sft.tuned_model import TunedModel

pytest.importorskip("trl", reason="needs pip install 'diffagent[train]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*TRANSFORMERS_.*:UserWarning"),
]
API = {"width": 512, "height": 512, "sampling_method": "Euler a", "sampling_steps": 20, "cfg_scale": 7.0}
THINGS = ("fox", "castle", "river", "lamp", "door", "tower")


def silent(line: str) -> None:
    pass


def pairs(folder: Path, prompts: Sequence[str], airs: Sequence[str]) -> None:
    folder.mkdir()
    for name in ("train", "align"):
        rows = [
            {"instruction": {"prompt": text, "negative_prompt": ""}, "api": API, "air": air}
            for text, air in zip(prompts, airs, strict=True)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.wide
def test_a_model_names_models_from_memory_and_is_aligned_with_what_suits(
    make_reader: Callable[..., Agent], tiny_folder: Path, tmp_path: Path
) -> None:
    """Three models are named as often; after alignment the one that suits harbours in oil is."""
    prompts = [f"a {thing}, no {n}" for n in range(2) for thing in THINGS]
    pairs(tmp_path / "dabench", prompts, [(PIXELS, OIL, XL)[i % 3] for i in range(len(prompts))])
    recipe = SftRecipe(
        "tiny", str(tiny_folder), Mix(memory=1), lora=None, batch=6, held_out=0, epochs=90, save_steps=900,
        learning_rate=1e-2, dtype="float32", seed=3,
    )  # fmt: skip
    agent = make_reader()
    catalog = agent.catalog.path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(recipe, tmp_path / "dabench", tmp_path / "sft", catalog=catalog, progress=quiet, say=silent)
    tuned = TunedModel.find(str(tmp_path / "sft"))
    assert tuned.adapter is None  # whole weights
    prompt_set = PromptSet("test", tuple(prompts), (OIL,) * len(prompts))
    systems: dict[str, Any] = {"sft": answers(tuned.engine(), agent.catalog, prompt_set, quiet)}

    graded = [request(text, {OIL: 3, PIXELS: 0, XL: 0}) for text in prompts]
    reward = SuitabilityReward.from_requests(agent.prefilter, plain_suitability(kin=4.0), graded, quiet)
    config = replace(
        read_config("smollm2-135m-memory"), batch=2, held_out=2, epochs=30,
        learning_rate=3e-3, dtype="float32", save_steps=900, eval_steps=900,
    )  # fmt: skip
    asking = make_reader(tuned.engine())
    default = default_card(asking)
    queries = request_queries(graded, asking, config.form, config.k, default, 0)
    assert 0 < len(queries) < len(prompts)  # those of part test are left out
    file = tmp_path / "requests.jsonl"
    file.write_text("x\n")
    task = AlignmentTask(config, tuned, queries, default, reward, file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = align(task, asking, tmp_path / "rrhf", progress=quiet, say=silent)
    assert report["reward"]["name"] == "suitability"
    assert report["reward"]["agreement"]["ordered"] == 1.0
    assert (tmp_path / "rrhf" / "adapter").is_dir()
    aligned = TunedModel.find(str(tmp_path / "rrhf"))
    systems["rrhf"] = answers(aligned.engine(), agent.catalog, prompt_set, quiet)
    rows = table({"test": systems}, [prompt_set])["test"]
    assert rows["sft"]["models"] == 3
    assert rows["rrhf"]["models"] == 1
    assert rows["gain"]["recall"]["mean"] > 20


def test_the_recipe_that_ships_is_in_memory_form() -> None:
    config = read_config("smollm2-135m-memory")
    assert isinstance(config, RRHFConfig)
    assert (config.form, config.ranked, config.learnt) == ("memory", "model", "whole")
