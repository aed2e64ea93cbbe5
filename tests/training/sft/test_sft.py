"""Fine-tuning end to end on a tiny Llama: stops, goes on in the same bytes, exports what serving loads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stand_ins import quiet

from diffagent.agent.engines import Prompt
from diffagent.agent.engines.adapter import FILE, Adapter
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.data.errors import BadInput
from diffagent.data.weights.weights import Weights
from diffagent.training.sft.answer_trainer import PacedTrainer, read_log
from diffagent.training.sft.dialogues import Mix
from diffagent.training.sft.examples import FILE as EXAMPLES
from diffagent.training.sft.examples import examples
from diffagent.training.sft.limits import Limits
from diffagent.training.sft.recipe import AdapterConfig, SftRecipe
from diffagent.training.sft.sft import (
    last_checkpoint,
    one_gpu,
    recipe_steps,
    schedule,
    storage_dtype,
    train,
)
from diffagent.training.sft.tuned_model import adapted_layers

pytest.importorskip("trl", reason="needs pip install 'diffagent[train]'")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*TRANSFORMERS_.*:UserWarning"),
]
API = {"width": 512, "height": 512, "sampling_method": "Euler a", "sampling_steps": 20, "cfg_scale": 7.0}


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dabench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows in memory form need no crawl: the models are three of the catalog that ships."""
    from diffagent.data.catalog.catalog import Catalog

    folder = tmp_path_factory.mktemp("dabench")
    with Catalog.open() as catalog:
        airs = [card.air for _, card in catalog.entries()[:3]]
    things = ["fox", "castle", "river", "lamp", "door", "tower", "bird", "horse"]
    for name, count in (("train", 24), ("align", 6)):
        instructions = [{"prompt": f"a {things[i % 8]}, no {i}", "negative_prompt": ""} for i in range(count)]
        rows = [
            {"instruction": instruction, "api": API, "air": airs[i % 3]}
            for i, instruction in enumerate(instructions)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def recipe(tiny_folder: Path) -> SftRecipe:
    return SftRecipe(
        "tiny", str(tiny_folder), Mix(memory=1), lora=AdapterConfig(2, 4), batch=4, held_out=4, eval_steps=3,
        save_steps=2, learning_rate=1e-2, epochs=1, seed=3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def straight(dabench: Path, recipe: SftRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of all six steps."""
    out = tmp_path_factory.mktemp("straight")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = train(recipe, dabench, out, progress=quiet, say=silent)
    assert report["steps"] == 6
    return out


def test_the_upper_blocks_linear_layers_are_adapted_and_never_the_head(tiny_folder: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_folder)
    upper = adapted_layers(model, 1)
    assert {name.split(".")[1] for name in upper} == {"1"}
    assert {name.rpartition(".")[2] for name in upper} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert len(adapted_layers(model, 0)) == 7 * model.config.num_hidden_layers


def test_a_run_leaves_what_it_was(straight: Path, recipe: SftRecipe, tiny_folder: Path) -> None:
    report = json.loads((straight / "run.json").read_text())
    assert report["recipe"]["lora"] == {"r": 2, "alpha": 4, "dropout": 0.0}
    assert report["base"]["digest"] == Weights(tiny_folder).digest
    assert (report["examples"], report["data"]["train"], report["data"]["held_out"]) == (24, 24, 4)
    assert {"torch", "trl", "peft", "python", "diffagent"} <= set(report["versions"])
    rows = read_log(straight / "log.jsonl")
    assert [row["step"] for row in rows if "eval_loss" in row] == [3, 6]
    assert rows[0]["loss"] > 0
    assert list(straight.rglob("events.out.tfevents*"))
    curves = straight / "curves.png"
    assert curves.read_bytes().startswith(b"\x89PNG")


def test_training_lowers_the_held_out_loss(straight: Path) -> None:
    losses = [row["eval_loss"] for row in read_log(straight / "log.jsonl") if "eval_loss" in row]
    assert losses[-1] < losses[0]


def test_going_on_from_a_checkpoint_ends_in_the_same_bytes(
    straight: Path, dabench: Path, recipe: SftRecipe, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="holds no checkpoint to go on from"):
        train(recipe, dabench, tmp_path, resume=True, progress=quiet, say=silent)

    class Killed(Exception):
        pass

    def die(line: str) -> None:
        if line.startswith("step 3 of"):  # the evaluation after step 3; the last checkpoint is of step 2
            raise Killed

    with pytest.raises(Killed):
        train(recipe, dabench, tmp_path, progress=quiet, say=die)
    assert (tmp_path / "checkpoint-2").is_dir()
    train(recipe, dabench, tmp_path, resume=True, progress=quiet, say=silent)
    ours, theirs = (folder / "adapter" / FILE for folder in (tmp_path, straight))
    assert ours.read_bytes() == theirs.read_bytes()
    logs = [[row.get("loss") for row in read_log(folder / "log.jsonl")] for folder in (tmp_path, straight)]
    assert logs[0] == logs[1]


def test_a_run_of_the_upper_blocks_leaves_the_lower_ones(
    dabench: Path, recipe: SftRecipe, tiny_folder: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    upper = replace(recipe, lora=None, first_block=1, learning_rate=1e-3, epochs=2)
    train(upper, dabench, tmp_path, progress=quiet, say=silent)
    before = load_file(tiny_folder / "model.safetensors")
    after = load_file(tmp_path / "merged" / "model.safetensors")
    changed = {name for name in after if not after[name].equal(before[name].to(after[name].dtype))}
    assert {name for name in changed if not name.startswith("model.norm.")} == {
        name for name in after if name.startswith("model.layers.1.") and name.endswith("_proj.weight")
    } | {name for name in changed if name.startswith("model.layers.1.") and "layernorm" in name}
    losses = [row["eval_loss"] for row in read_log(tmp_path / "log.jsonl") if "eval_loss" in row]
    assert losses[-1] < losses[0]


@pytest.mark.wide
def test_a_killed_run_of_all_weights_ends_in_the_same_bytes(
    dabench: Path, recipe: SftRecipe, tiny_folder: Path, tmp_path: Path
) -> None:
    """Killed without warning behind step 3: the order, the optimiser and the rate go on from step 2."""
    full = replace(recipe, lora=None, learning_rate=1e-3, dtype="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(full, dabench, tmp_path / "straight", progress=quiet, say=silent)
    changes = {"lora": None, "learning_rate": 1e-3, "save_steps": 2, "eval_steps": 3}
    changes |= {"choice_weight": 1.0, "identity_weight": 1.0}
    task = {
        "tiny": str(tiny_folder),
        "dabench": str(dabench),
        "out": str(tmp_path / "cut"),
        "changes": changes,
    }
    codes = [in_a_process(task | more, tmp_path) for more in ({"kill": "step 3 of"}, {"resume": True})]
    assert codes == [-signal.SIGKILL, 0]
    ours, theirs = (tmp_path / name / "merged" / "model.safetensors" for name in ("cut", "straight"))
    assert ours.read_bytes() == theirs.read_bytes()
    rates = [
        [row["learning_rate"] for row in read_log(tmp_path / name / "log.jsonl") if "loss" in row]
        for name in ("cut", "straight")
    ]
    assert rates[0] == rates[1] != []


def in_a_process(task: dict[str, Any], folder: Path) -> int:
    """Runs tests/process_runs.py by itself; its exit code."""
    import diffagent

    file, tests = folder / "task.json", Path(__file__).resolve().parents[2]
    file.write_text(json.dumps(task))
    paths = [*sys.path, str(Path(next(iter(diffagent.__path__))).parent)]
    words = [sys.executable, str(tests / "process_runs.py"), "sft", str(file)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.run(words, env=environment, capture_output=True, timeout=300).returncode


def test_a_checkpoint_that_a_kill_cut_off_is_passed_over(tmp_path: Path) -> None:
    for step, text in ((8, '{"global_step": 8}'), (9, '{"global_st'), (10, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if text is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(text)
    assert last_checkpoint(tmp_path).name == "checkpoint-8"


def test_all_weights_are_held_in_fp32_and_computed_in_bf16(recipe: SftRecipe) -> None:
    """A step of 1e-5 is lost in a bf16 weight of 0.1, whose last bit is 5e-4."""
    import torch

    weight = torch.tensor(0.1, dtype=torch.bfloat16)
    assert weight - 1e-5 == weight
    full = replace(recipe, lora=None)
    assert storage_dtype("bfloat16", full) == torch.float32
    assert storage_dtype("bfloat16", replace(full, start="tuned")) == torch.bfloat16
    assert storage_dtype("bfloat16", recipe) == torch.bfloat16

    class Run(PacedTrainer):
        def __init__(self, bf16: bool) -> None:
            self.args = SimpleNamespace(bf16=bf16)

    model = torch.nn.Linear(2, 2)
    weights = torch.nn.Linear(1, 1)
    weights.device = weights.weight.device
    with Run(True).computing(weights):
        assert model(torch.ones(1, 2)).dtype == torch.bfloat16
    with Run(False).computing(weights):
        assert model(torch.ones(1, 2)).dtype == torch.float32
    weights.weight.data, weights.bias.data = weights.weight.bfloat16(), weights.bias.bfloat16()
    weights.lora_A = torch.nn.Linear(1, 1)  # an adapter's own weights are fp32 and computed so
    with Run(True).computing(weights):
        assert model(torch.ones(1, 2)).dtype == torch.float32


def test_the_log_has_tokens_a_second(straight: Path) -> None:
    rows = read_log(straight / "log.jsonl")
    assert all(row["tokens_per_s"] > 0 for row in rows if "loss" in row)
    assert not any("tokens_per_s" in row for row in rows if "eval_loss" in row)


def test_time_that_is_up_ends_in_good_order(dabench: Path, recipe: SftRecipe, tmp_path: Path) -> None:
    lines: list[str] = []
    limits = Limits(minutes=1e-9)
    report = train(recipe, dabench, tmp_path, limits=limits, progress=quiet, say=lines.append)
    assert report["steps"] == 1
    assert any("minutes are up at step 1: saving" in line for line in lines)
    assert (tmp_path / "checkpoint-1").is_dir()
    assert (tmp_path / "adapter" / FILE).is_file()


@pytest.mark.wide
def test_serving_loads_what_was_exported(
    dabench: Path, recipe: SftRecipe, tiny_folder: Path, tmp_path: Path
) -> None:
    """The base with its adapter answers as the merged weights do, and otherwise than the base."""
    longer = replace(recipe, dtype="float32", epochs=6)  # beyond what bf16 rounds away
    train(longer, dabench, tmp_path, progress=quiet, say=silent)
    adapter = Adapter.open(tmp_path / "adapter")
    assert (adapter.base, adapter.scale) == (Weights(tiny_folder).digest, 2.0)
    assert len(adapter.pairs()) == 14  # seven linear layers in each of two
    loaded = {
        "base": TransformersEngine.load(str(tiny_folder), "cpu", "float32"),
        "adapted": TransformersEngine.load(str(tiny_folder), "cpu", "float32", tmp_path / "adapter"),
        "merged": TransformersEngine.load(str(tmp_path / "merged"), "cpu", "float32"),
    }
    prompt = Prompt("Answer.", "a fox")
    choices = {name: engine.choose(prompt, list("ABCD")) for name, engine in loaded.items()}
    assert choices["adapted"] == pytest.approx(choices["merged"], abs=0.2)  # both are written in bf16
    assert choices["base"] != pytest.approx(choices["merged"], abs=1.0)
    exported = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert exported["use_cache"] is True  # or generate() would read the whole prompt at each token


@pytest.mark.wide
def test_checkpointed_gradients_are_the_same(dabench: Path, recipe: SftRecipe, tmp_path: Path) -> None:
    exact = replace(recipe, dtype="float32")  # in bf16 the order of additions shows
    for name, spared in (("spared", True), ("straight", False)):
        variant = replace(exact, checkpointing=spared)
        train(variant, dabench, tmp_path / name, limits=Limits(steps=6), progress=quiet, say=silent)
    logs = [read_log(tmp_path / name / "log.jsonl") for name in ("spared", "straight")]
    losses = [[row[name] for row in log for name in ("loss", "eval_loss") if name in row] for log in logs]
    assert len(losses[0]) == 3
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_all_weights_are_trained_and_extracted(dabench: Path, recipe: SftRecipe, tmp_path: Path) -> None:
    full = replace(recipe, lora=None, extract_rank=3, learning_rate=1e-3)
    report = train(full, dabench, tmp_path, limits=Limits(steps=2), progress=quiet, say=silent)
    assert report["steps"] == 2
    assert report["weights"]["adapter"]["bytes"] < 12e6
    assert Adapter.open(tmp_path / "adapter").scale == 1.0


def test_examples_are_made_once(
    straight: Path, dabench: Path, recipe: SftRecipe, tiny: TransformersEngine
) -> None:
    stamp = (straight / EXAMPLES).stat().st_mtime_ns
    repeat = examples(recipe, dabench, None, tiny.chat, straight, quiet)
    assert (straight / EXAMPLES).stat().st_mtime_ns == stamp
    assert (len(repeat.train), len(repeat.held_out)) == (24, 4)
    examples(replace(recipe, seed=4), dabench, None, tiny.chat, straight, quiet)
    assert (straight / EXAMPLES).stat().st_mtime_ns != stamp


@pytest.mark.wide
def test_a_recipe_of_plain_requests_beside_a_part_of_dabench(
    straight: Path, dabench: Path, recipe: SftRecipe, monkeypatch: Any, tmp_path: Path
) -> None:
    from diffagent.training.corpora.plain_requests import read_graded
    from diffagent.training.sft import examples as module

    requests = read_graded()
    few = [*(request for request in requests if request.split == "train")][:12]
    held_out = [*(request for request in requests if request.split == "align")][:3]
    monkeypatch.setattr(module, "read_graded", lambda: [*few, *held_out])
    variant = replace(recipe, rows=8, readings=2, choices=1, start=str(straight), learning_rate=1e-9)
    report = train(variant, dabench, tmp_path, progress=quiet, say=silent)
    rows = [json.loads(line) for line in (tmp_path / EXAMPLES).read_text().splitlines()[1:]]
    forms = Counter((row["part"], row["form"]) for row in rows)
    assert forms["train", "memory"] == 8
    assert forms["train", "reading"] == 2 * len(few)
    assert 0 < forms["train", "choice"] <= len(few)
    assert forms["held_out", "reading"] == 2  # half of held_out
    for row in rows:
        if row["form"] == "choice":
            assert sum(row["targets"]) == pytest.approx(1)
        else:
            assert row["targets"] == []
    assert report["data"]["train"] == sum(forms[part, form] for part, form in forms if part == "train")
    assert report["recipe"]["start"] == str(straight)
    first, second = (Adapter.open(folder / "adapter") for folder in (straight, tmp_path))
    assert second.scale == first.scale
    for (a, b), (c, d) in zip(first.pairs().values(), second.pairs().values(), strict=True):
        np.testing.assert_allclose(b @ a, d @ c, rtol=0.02, atol=1e-4)  # at this rate it stays where it began


def test_candidates_need_the_crawl(dabench: Path, recipe: SftRecipe, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="found among the prompts of the crawl"):
        train(replace(recipe, mix=Mix()), dabench, tmp_path, progress=quiet, say=silent)
    with pytest.raises(BadInput, match=r"has no train\.jsonl"):
        train(recipe, tmp_path, tmp_path, progress=quiet, say=silent)


def test_the_rate_rises_then_falls_by_steps_or_by_the_clock(recipe: SftRecipe, monkeypatch: Any) -> None:
    factor = schedule(replace(recipe, warmup=0.2), 10, Limits())
    assert [round(factor(step), 3) for step in (0, 1, 5, 10)] == [0.5, 0.977, 0.525, 0.05]
    monkeypatch.setattr("time.monotonic", lambda: 90.0)
    hurried = schedule(
        replace(recipe, warmup=0), 10**6, Limits(minutes=2, began=30.0)
    )  # half the time is gone
    assert hurried(1) == pytest.approx(0.525, abs=1e-4)
    assert schedule(replace(recipe, warmup=0), 10, Limits(minutes=2, began=30.0), start=5)(
        5
    ) == pytest.approx(
        0.05 + 0.95 * (1 - 2**-0.5) / 2  # half of the way was done, half of the rest is gone: cos 135°
    )


def test_a_process_has_one_gpu_however_many_it_sees(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    args = TrainingArguments(str(tmp_path), use_cpu=True)
    assert one_gpu(args).n_gpu == 0
    args._n_gpu = 4
    assert one_gpu(args).n_gpu == 1


def test_steps_are_shared_by_the_processes(recipe: SftRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a process group is there, too."""
    from diffagent.training.sft.dialogues import TrainingExample
    from diffagent.training.sft.examples import Examples

    data = Examples([TrainingExample("memory", [1, 2], 1, [1, 2])] * 43, [], "")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert recipe_steps(recipe, data, Limits()) == 5


def test_steps_are_whole_batches_within_the_limit(recipe: SftRecipe) -> None:
    from diffagent.training.sft.dialogues import TrainingExample
    from diffagent.training.sft.examples import Examples

    data = Examples([TrainingExample("memory", [1, 2], 1, [1, 2])] * 43, [], "")
    assert recipe_steps(recipe, data, Limits()) == 10
    assert recipe_steps(replace(recipe, accumulate=2), data, Limits()) == 5
    assert recipe_steps(recipe, data, Limits(steps=3)) == 3
