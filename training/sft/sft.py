"""Supervised fine-tuning, the first stage of SFTA (paper, section 3.2), by trl's SFTTrainer.

In: a DABench folder, the crawl that it was built from, a recipe. Out, in one folder:

    run.json        the resolved recipe, the digest of the data, package versions, machine, times
    examples.jsonl  training data, in order          checkpoint-N/  to resume from
    log.jsonl       losses and learning rates        curves.png     drawn from it
    merged/         whole weights                    adapter/       the low-rank difference in bf16

The order of the examples and the learning rate depend on the step alone, so a run that is resumed from a
checkpoint ends in the same bytes, where torch's kernels are deterministic. With a time limit the learning
rate also follows the clock, so that it has decayed by the end.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from diffagent.data.devices import own_device, share
from diffagent.data.errors import BadInput, MissingExtra
from diffagent.training.sft.examples import Examples, examples
from diffagent.training.sft.frozen_blocks import freeze
from diffagent.training.sft.limits import Limits, Say
from diffagent.training.sft.recipe import Recipe, SftRecipe
from diffagent.training.sft.tuned_model import TunedModel, adapt, adapted_layers

if TYPE_CHECKING:
    import torch

    from diffagent.data.weights.weights import Weights
    from diffagent.training.sft.dialogues import TrainingExample

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "llguidance")
NEEDED = ("trl", "peft", "accelerate", "datasets", "tensorboard", "yaml")


class WarmupConfig(Protocol):
    """The field of a recipe that the learning rate depends on."""

    @property
    def warmup(self) -> float:
        """The share of the steps in which the learning rate rises."""
        ...


def train(
    recipe: SftRecipe,
    dabench: Path,
    out: Path,
    *,
    raw: Path | None = None,
    resume: bool = False,
    limits: Limits | None = None,
    catalog: Path | None = None,
    progress: Progress,
    say: Say,
) -> dict[str, Any]:
    """Runs a recipe and returns the contents of ``run.json``. ``catalog``: see
    :func:`diffagent.training.sft.examples.examples`.

    Raises:
        MissingExtra: a package of the extra ``train`` is not installed.
        BadInput: the data does not fit the recipe, or there is no checkpoint to resume from.
        MissingWeights: the base model is nowhere to be found.
    """
    from diffagent.agent.engines.chat import Chat
    from diffagent.data.weights.weights import resolve

    check_extra()
    limits = limits or Limits(minutes=recipe.minutes, began=time.monotonic())
    checkpoint = last_checkpoint(out) if resume else None
    weights = resolve(recipe.model)
    chat = Chat(weights.path)
    data = examples(recipe, dabench, raw, chat, out, progress, catalog)
    if len(data.train) < recipe.batch:
        raise BadInput(f"{dabench} makes {len(data.train)} dialogues, but a batch has {recipe.batch}")
    prepared = time.monotonic()
    trainer = build(recipe, weights, data, out, limits, say)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not trainer.is_world_process_zero():
        return {}
    report = _report(recipe, weights, data, trainer, prepared - limits.began, time.monotonic() - prepared)
    return _finish(trainer, recipe, weights, out, report)


def check_extra() -> None:
    """Raises :class:`MissingExtra` where the extra ``train`` is not installed."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingExtra(f"fine-tuning needs {', '.join(missing)}: pip install 'diffagent[train]'")


def build(recipe: SftRecipe, weights: Weights, data: Examples, out: Path, limits: Limits, say: Say) -> Any:
    """The trainer, ready to run."""
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from diffagent.training.sft.answer_loss import AnswerWeights
    from diffagent.training.sft.answer_trainer import collate, trainer_class

    dtype = dtype_of(recipe.dtype, weights)
    torch.manual_seed(recipe.seed)
    model = AutoModelForCausalLM.from_pretrained(weights.path, dtype=storage_dtype(dtype, recipe))
    tokenizer = AutoTokenizer.from_pretrained(weights.path)
    if recipe.start is not None:
        model, lora = _with_adapter(model, recipe.start), None
    else:
        lora = recipe.lora and LoraConfig(
            r=recipe.lora.r,
            lora_alpha=recipe.lora.alpha,
            lora_dropout=recipe.lora.dropout,
            target_modules=adapted_layers(model, recipe.first_block),
            task_type="CAUSAL_LM",
        )
    if recipe.start is None and recipe.lora is None and recipe.first_block:
        freeze(model, recipe.first_block, getattr(torch, dtype))
    steps = recipe_steps(recipe, data, limits)
    return trainer_class()(
        schedule=lambda start: schedule(recipe, steps, limits, start),
        limits=limits,
        say=say,
        log=out / "log.jsonl",
        choice=AnswerWeights(recipe.choice_weight, recipe.identity_weight, data.letters),
        model=model,
        args=_arguments(recipe, out, steps, dtype),
        train_dataset=_dataset(data.train),
        eval_dataset=_dataset(data.held_out) if data.held_out else None,
        processing_class=tokenizer,
        data_collator=partial(collate, pad=tokenizer.pad_token_id or 0),
        peft_config=lora,
    )


def _with_adapter(model: Any, start: str) -> Any:
    """The model with the adapter of an earlier run, which is trained further."""
    return adapt(model, TunedModel.find(start), Recipe())[0]


def recipe_steps(recipe: SftRecipe, data: Examples, limits: Limits) -> int:
    """The optimiser steps of all epochs in all processes, at most ``limits.steps``."""
    whole = len(data.train) // (recipe.batch * recipe.accumulate * share()[1])
    return max(1, min(whole, limits.steps or whole))


def schedule(recipe: WarmupConfig, steps: int, limits: Limits, start: int = 0) -> Callable[[int], float]:
    """Step → factor of the learning rate: up over the warmup, then down a cosine to a twentieth.

    A run's progress is the larger of its shares of the steps and of the time; the time that remains when
    a run is resumed at step ``start`` covers the rest of the curve.
    """
    done = start / steps

    def factor(step: int) -> float:
        clock = done + (1 - done) * min(1.0, limits.spent()) if limits.minutes else 0.0
        at = max(step / steps, clock)
        rising = min(1.0, (step + 1) / max(1.0, recipe.warmup * steps)) if recipe.warmup else 1.0
        return rising * (0.05 + 0.95 * (1 + math.cos(math.pi * min(1.0, at))) / 2)

    return factor


def arguments(recipe: Recipe, out: Path, steps: int, dtype: str) -> dict[str, Any]:
    """The arguments of transformers' Trainer in both stages."""
    import torch

    on_cpu = not torch.cuda.is_available()
    return {
        "output_dir": str(out),
        "max_steps": steps,
        "per_device_train_batch_size": recipe.batch,
        "per_device_eval_batch_size": recipe.batch,
        "gradient_accumulation_steps": recipe.accumulate,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "optim": "adamw_torch",
        "bf16": dtype == "bfloat16",
        "use_cpu": on_cpu,
        "gradient_checkpointing": recipe.checkpointing,
        "train_sampling_strategy": "sequential",
        "remove_unused_columns": False,
        "dataloader_pin_memory": not on_cpu,
        "logging_steps": 10,
        "logging_first_step": True,
        "eval_strategy": "steps" if recipe.held_out else "no",
        "eval_steps": recipe.eval_steps,
        "prediction_loss_only": True,
        "save_steps": recipe.save_steps,
        "save_total_limit": 2,
        "report_to": ["tensorboard"],
        "disable_tqdm": True,
        "seed": recipe.seed,
    }


def _arguments(recipe: SftRecipe, out: Path, steps: int, dtype: str) -> Any:
    from trl.trainer.sft_config import SFTConfig

    return one_gpu(
        SFTConfig(
            **arguments(recipe, out, steps, dtype),
            shuffle_dataset=False,
            packing=False,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
        )
    )


def one_gpu(args: Any) -> Any:
    """The arguments for one GPU a process: a Trainer that is not launched in several processes would copy the
    model to every visible GPU and split its batch over them, around our losses."""
    args._n_gpu = min(args.n_gpu, 1)
    return args


def _dataset(examples: list[TrainingExample]) -> Any:
    from datasets import Dataset

    return Dataset.from_dict(
        {
            "input_ids": [example.ids for example in examples],
            "labels": [example.labels for example in examples],
            "log_priors": [example.log_priors for example in examples],
            "targets": [example.targets for example in examples],
            "parameters": [example.parameters for example in examples],
        }
    )


def dtype_of(name: str, weights: Weights) -> str:
    """The configured dtype, but fp32 where a CPU would emulate bf16; ``auto`` is bf16 where it is native."""
    import torch

    from diffagent.agent.engines.transformers_engine import best_dtype

    if name == "float32" or (name == "bfloat16" and torch.cuda.is_available()):
        return name
    return str(best_dtype(weights.path, own_device())).removeprefix("torch.")


def storage_dtype(dtype: str, recipe: Recipe) -> torch.dtype:
    """The dtype in which a run stores its weights: fp32 where all of them are trained, and each pass computes
    in ``dtype``. bf16 has eight bits, and a step that changes a weight by less than the last is lost."""
    import torch

    whole = recipe.lora is None and getattr(recipe, "start", None) is None
    return torch.float32 if whole else getattr(torch, dtype)


def last_checkpoint(out: Path) -> Path:
    """The last complete checkpoint of a run. Raises :class:`BadInput` where there is none."""
    checkpoints = sorted(out.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    whole = [path for path in checkpoints if _is_whole(path / "trainer_state.json")]
    if not whole:
        raise BadInput(f"{out} holds no checkpoint to go on from", "leave --resume out")
    return whole[-1]


def _is_whole(state: Path) -> bool:
    """Whether a checkpoint's last file is complete: a kill may truncate any of them."""
    try:
        return "global_step" in json.loads(state.read_bytes())
    except (OSError, ValueError):
        return False


def _report(
    recipe: SftRecipe, weights: Weights, data: Examples, trainer: Any, preparation: float, training: float
) -> dict[str, Any]:
    tokens = trainer.tokens
    return {
        "recipe": recipe.to_json(),
        "base": {"name": recipe.model, "digest": weights.digest},
        "data": {"digest": data.digest, "train": len(data.train), "held_out": len(data.held_out)},
        "steps": trainer.state.global_step,
        "examples": trainer.state.global_step * recipe.batch * recipe.accumulate * share()[1],
        "tokens": tokens,
        "seconds": {"preparation": round(preparation, 1), "training": round(training, 1)},
        "tokens_per_s": round(tokens / training, 1),
        "machine": machine(trainer.model),
        "versions": versions(),
    }


def machine(model: Any) -> dict[str, Any]:
    """The device on which a model was trained, and its precision."""
    import torch

    return {
        "device": torch.cuda.get_device_name(own_device())
        if torch.cuda.is_available()
        else platform.processor(),
        "threads": torch.get_num_threads(),
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def versions() -> Mapping[str, str]:
    """The versions of every package that a run's result depends on."""
    from importlib.metadata import version

    return {"python": platform.python_version(), "diffagent": version("diffagent")} | {
        name: version(name) for name in PACKAGES
    }


def _finish(
    trainer: Any, recipe: SftRecipe, weights: Weights, out: Path, report: dict[str, Any]
) -> dict[str, Any]:
    """Writes the weights, the curves and, last, ``run.json``."""
    from diffagent.training.sft.curves import draw
    from diffagent.training.sft.export import export

    report["weights"] = export(
        trainer.accelerator.unwrap_model(trainer.model), recipe, recipe.model, weights, out
    )
    if find_spec("matplotlib") is not None:
        draw(out / "log.jsonl", out / "curves.png")
    (out / "run.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report
