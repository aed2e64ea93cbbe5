"""Recipes: those that ship parse, and what is no recipe is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffagent.data.errors import BadInput
from diffagent.training.sft.dialogues import Mix
from diffagent.training.sft.recipe import AdapterConfig, SftRecipe, read_recipe, shipped

yaml = pytest.importorskip("yaml", reason="needs pip install 'diffagent[train]'")


@pytest.mark.parametrize("name", shipped())
def test_every_recipe_that_ships_parses(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.listing.k == 16


def test_what_the_issue_asks_of_them() -> None:
    assert shipped() == [
        "llama-2-7b", "smollm2-135m", "smollm2-135m-full", "smollm2-135m-memory", "smollm2-135m-requests",
    ]  # fmt: skip
    small, paper, full = map(read_recipe, ("smollm2-135m", "llama-2-7b", "smollm2-135m-full"))
    assert (small.lora, small.first_block) == (AdapterConfig(16, 32), 10)
    assert small.minutes is not None
    assert small.minutes <= 90
    assert (paper.dtype, paper.checkpointing) == ("bfloat16", True)
    assert paper.lora is not None
    assert (full.lora, full.extract_rank) == (None, 16)
    recipe = read_recipe("smollm2-135m-memory")
    assert (recipe.mix, recipe.lora, recipe.minutes) == (Mix(1, short=0.15), None, None)
    assert recipe.epochs > 1


def test_the_accelerate_file_is_deepspeeds_zero() -> None:
    folder = Path(__file__).resolve().parents[3] / "training" / "recipes" / "zero2"
    config = yaml.safe_load((folder / "accelerate.yaml").read_text())
    assert config["distributed_type"] == "DEEPSPEED"
    assert config["deepspeed_config"]["zero_stage"] == 2


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("mix: {memory: 0.5}\nlora: null\nextract_rank: 4\nbatch: 2\n")
    assert read_recipe(str(path)) == SftRecipe("mine", mix=Mix(0.5), lora=None, extract_rank=4, batch=2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("batchsize: 8", "mine.yaml has the unknown key 'batchsize'; known are accumulate, batch,"),
        (
            "lora: {rank: 8}",
            "lora of mine.yaml has the unknown key 'rank'; known are alpha, dropout, r",
        ),
        ("lora: 16", "lora of mine.yaml is 16, but it should map names to values"),
        ("lora: {r: 0}", "lora.r is 0 in mine.yaml: it should be greater than 0"),
        ("batch: 0", "batch is 0 in mine.yaml: it should be greater than 0"),
        ("batch: many", "batch is 'many' in mine.yaml: it should be a valid integer"),
        ("dtype: float8", "dtype is 'float8' in mine.yaml: it should be 'auto', 'float32' or 'bfloat16'"),
        ("learning_rate: 0", "learning_rate is 0"),
        ("extract_rank: 4", "only full weights are extracted"),
        ("mix: {memory: 2}", "mix.memory is 2 in mine.yaml: it should be less than or equal to 1"),
        ("- a", "should map names to values"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as refusal:
        read_recipe(str(path))
    assert reason in str(refusal.value)


def test_an_unknown_name_is_answered_with_those_that_ship() -> None:
    with pytest.raises(BadInput, match="one of llama-2-7b, smollm2-135m, smollm2-135m-full"):
        read_recipe("gpt-9")
