"""Alignment, the second stage of SFTA: queries of the align part, responses, rewards, RRHF.

In: queries of a DABench folder or a file of plain requests, a fine-tuned model, a reward. Out, in one folder:

    responses.jsonl   what the model answered, a query a line    scores.jsonl   the reward of each response
    log.jsonl, curves.png, checkpoint-N/, merged/, adapter/, run.json   as fine-tuning leaves them

Every step goes on where it was cut off: a query that is answered or scored stays so, and ``resume`` takes
training up at its last checkpoint. Of several processes (accelerate) the first one there asks for the
responses, and the first one there scores them; the others read what it wrote. Images are shared out. None
waits in a collective, so that no time-out ends a long wait.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffagent.data.devices import share
from diffagent.data.errors import BadInput
from diffagent.training.rrhf.collecting import RESPONSES, SCORES, Progress, Task, collect, rank, rate
from diffagent.training.rrhf.policy import Tuned
from diffagent.training.rrhf.responses import summary
from diffagent.training.rrhf.trainer import Ranked, collate, trainer_class
from diffagent.training.sft.examples import data_digest
from diffagent.training.sft.limits import Limits
from diffagent.training.sft.recipe import Lora
from diffagent.training.sft.sft import (
    arguments,
    dtype_of,
    held_in,
    last_checkpoint,
    machine,
    one_gpu,
    schedule,
    versions,
)

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.training.rrhf.config import RRHFConfig

Say = Callable[[str], None]


def align(
    task: Task,
    agent: Agent,
    out: Path,
    *,
    resume: bool = False,
    limits: Limits | None = None,
    progress: Progress,
    say: Say,
) -> dict[str, Any]:
    """Run the whole stage; returns what ``run.json`` says.

    ``agent`` has the fine-tuned model as its engine; it is asked for responses and completes them to calls,
    and then closed: its weights and the reward's are freed before training.

    Raises:
        BadInput: too few queries have two responses, or there is no checkpoint to resume from.
    """
    from filelock import FileLock

    limits = limits or Limits(minutes=task.config.minutes, began=time.monotonic())
    checkpoint = last_checkpoint(out) if resume else None
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / ".responses.lock"):  # several processes of one run wait for the first
        answered = collect(task, agent, out / RESPONSES, progress)
    every = [said.call for one in answered for said in one.responses]
    _free(agent.engine)
    task.reward.prepare(every, progress, share())
    with FileLock(out / ".responses.lock"):
        scores = rate(answered, task.reward, out / SCORES, progress)
    told = summary(answered)
    say(
        f"{told['responses']} responses to {told['queries']} queries; "
        f"{told['invalid']} of {told['texts']} texts name no model, "
        f"{told['illegal']} samples have parameters out of range"
    )
    task.reward.close()
    ranked = rank(answered, scores)
    prepared = time.monotonic()
    trainer, plan = build(task, ranked, out, limits, say)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not trainer.is_world_process_zero():
        return {}
    report = _report(task, told, ranked, trainer)
    report["seconds"] = {
        "preparation": round(prepared - limits.began, 1),
        "training": round(time.monotonic() - prepared, 1),
    }
    return _finish(trainer, task.tuned, plan, out, report)


def build(task: Task, ranked: Sequence[Ranked], out: Path, limits: Limits, say: Say) -> tuple[Any, Any]:
    """The trainer, ready to run, and the config that the export follows."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainingArguments

    config, tuned = task.config, task.tuned
    train, held_out = _split(ranked, config)
    dtype = dtype_of(config.dtype, tuned.base)
    torch.manual_seed(config.seed)
    held = getattr(torch, dtype) if tuned.adapter else held_in(dtype, config)
    model = AutoModelForCausalLM.from_pretrained(tuned.base.path, dtype=held)
    model, plan = adapt(model, tuned, config)
    steps = _steps(config, len(train), limits)
    said = arguments(config, out, steps, dtype)
    if config.checkpointing:
        said["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    tokenizer = AutoTokenizer.from_pretrained(tuned.base.path)
    trainer = trainer_class()(
        schedule=lambda start: schedule(config, steps, limits, start),
        limits=limits,
        say=say,
        log=out / "log.jsonl",
        model=model,
        args=one_gpu(TrainingArguments(**said, label_names=["scores"])),
        train_dataset=train,
        eval_dataset=held_out or None,
        processing_class=tokenizer,
        data_collator=partial(collate, pad=tokenizer.pad_token_id or 0),
    )
    return trainer, plan


def adapt(model: Any, tuned: Tuned, config: RRHFConfig) -> tuple[Any, RRHFConfig]:
    """The model with what is trained of it: the adapter that fine-tuning left, in the layers that it has, a
    new one in all, or all weights; and the config with that adapter's rank and alpha."""
    import torch

    if tuned.adapter is None and config.lora is None:
        return model, config
    from peft import LoraConfig, get_peft_model

    from diffagent.agent.engines.adapter import Adapter

    pairs: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    lora, layers = config.lora or Lora(), None
    if tuned.adapter is not None:
        stored = Adapter.open(tuned.adapter)
        pairs = stored.pairs()
        r = next(iter(pairs.values()))[0].shape[0]
        lora, layers = replace(lora, r=r, alpha=stored.scale * r), list(pairs)
    adapted = get_peft_model(
        model,
        LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,  # peft's annotation says int, its arithmetic takes any number
            lora_dropout=lora.dropout,
            target_modules=layers or "all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    with torch.no_grad():
        for name, (a, b) in pairs.items():
            layer = adapted.get_submodule(f"base_model.model.{name}")
            layer.lora_A["default"].weight.copy_(a)
            layer.lora_B["default"].weight.copy_(b)
    return adapted, replace(config, lora=lora, extract_rank=None)


def _free(engine: Any) -> None:
    """Free the fine-tuned model, which has answered: images and training need the room."""
    if close := getattr(engine, "close", None):
        close()


def _split(ranked: Sequence[Ranked], config: RRHFConfig) -> tuple[list[Ranked], list[Ranked]]:
    """The queries of every epoch in the order of training, and the last ones, held out."""
    least = config.batch * config.accumulate + config.held_out
    if len(ranked) < least:
        raise BadInput(
            f"{len(ranked)} queries have two different responses, but the recipe takes {least} (a step and "
            f"{config.held_out} held out): align with more prompts, or lower batch or held_out"
        )
    cut = len(ranked) - config.held_out
    orders = [np.random.default_rng([config.seed, epoch]).permutation(cut) for epoch in range(config.epochs)]
    return [ranked[i] for order in orders for i in order], list(ranked[cut:])


def _steps(config: RRHFConfig, queries: int, limits: Limits) -> int:
    whole = queries // (config.batch * config.accumulate * share()[1])
    return max(1, min(whole, limits.steps or whole))


def _report(task: Task, told: dict[str, Any], ranked: Sequence[Ranked], trainer: Any) -> dict[str, Any]:
    tuned = task.tuned
    return {
        "recipe": task.config.to_json(),
        "base": {"name": tuned.model, "digest": tuned.base.digest},
        "tuned": tuned.digest,
        "reward": {"name": task.reward.name, **task.reward.told()},
        "data": {"digest": _digest(task.source), "queries": len(ranked)},
        "responses": told,
        "steps": trainer.state.global_step,
        "tokens": trainer.tokens,
        "machine": machine(trainer.model),
        "versions": versions(),
    }


def _digest(source: Path) -> str:
    """Of a DABench folder's files, or of a file of requests."""
    from diffagent.data.weights.wheel import sha256

    return data_digest(source) if source.is_dir() else sha256(source)


def _finish(
    trainer: Any, tuned: Tuned, plan: RRHFConfig, out: Path, report: dict[str, Any]
) -> dict[str, Any]:
    """Write the weights, the curves and, last, what the run was."""
    from diffagent.training.sft.curves import draw
    from diffagent.training.sft.export import export

    model = trainer.accelerator.unwrap_model(trainer.model)
    report["weights"] = export(model, plan, tuned.model, tuned.base, out)
    if find_spec("matplotlib") is not None:
        draw(out / "log.jsonl", out / "curves.png")
    (out / "run.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report
