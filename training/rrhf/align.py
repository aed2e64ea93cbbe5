"""Alignment, the second stage of SFTA: queries of the align part, responses, rewards, RRHF.

In: queries of a DABench folder or a file of plain requests, a fine-tuned model, a reward. Out, in one folder:

    responses.jsonl   what the model answered, a query a line    scores.jsonl   the reward of each response
    log.jsonl, curves.png, checkpoint-N/, merged/, adapter/, run.json   as in fine-tuning

Every step continues where it was interrupted: answered and scored queries are kept, and ``resume`` continues
training from its last checkpoint. Of several processes (accelerate) the first to arrive generates the
responses, and the first to arrive scores them; the others read its file. Images are distributed. No process
waits in a collective, so that no time-out ends a long wait.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diffagent.data.devices import share
from diffagent.data.errors import BadInput
from diffagent.training.rrhf.collecting import RESPONSES, SCORES, AlignmentTask, Progress, collect, rank, rate
from diffagent.training.rrhf.responses import summary
from diffagent.training.rrhf.trainer import ScoredQuery, collate, trainer_class
from diffagent.training.sft.examples import data_digest
from diffagent.training.sft.limits import Limits
from diffagent.training.sft.sft import (
    arguments,
    dtype_of,
    last_checkpoint,
    machine,
    one_gpu,
    schedule,
    storage_dtype,
    versions,
)
from diffagent.training.sft.tuned_model import TunedModel, adapt

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.training.rrhf.config import RRHFConfig

Say = Callable[[str], None]


def align(
    task: AlignmentTask,
    agent: Agent,
    out: Path,
    *,
    resume: bool = False,
    limits: Limits | None = None,
    progress: Progress,
    say: Say,
) -> dict[str, Any]:
    """Runs the whole stage and returns the contents of ``run.json``.

    ``agent`` has the fine-tuned model as its engine; it generates the responses, completes them to calls, and
    is then closed: its weights and the reward's are freed before training.

    Raises:
        BadInput: too few queries have two responses, or there is no checkpoint to resume from.
    """
    from filelock import FileLock

    limits = limits or Limits(minutes=task.config.minutes, began=time.monotonic())
    checkpoint = last_checkpoint(out) if resume else None
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / ".responses.lock"):  # several processes of one run wait for the first
        query_responses = collect(task, agent, out / RESPONSES, progress)
    every = [response.call for group in query_responses for response in group.responses]
    _free(agent.engine)
    task.reward.prepare(every, progress, share())
    with FileLock(out / ".responses.lock"):
        scores = rate(query_responses, task.reward, out / SCORES, progress)
    counts = summary(query_responses)
    say(
        f"{counts['responses']} responses to {counts['queries']} queries; "
        f"{counts['invalid']} of {counts['texts']} texts name no model, "
        f"{counts['illegal']} samples have parameters out of range"
    )
    task.reward.close()
    scored_queries = rank(query_responses, scores)
    prepared = time.monotonic()
    trainer, plan = build(task, scored_queries, out, limits, say)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not trainer.is_world_process_zero():
        return {}
    report = _report(task, counts, scored_queries, trainer)
    report["seconds"] = {
        "preparation": round(prepared - limits.began, 1),
        "training": round(time.monotonic() - prepared, 1),
    }
    return _finish(trainer, task.tuned, plan, out, report)


def build(
    task: AlignmentTask, scored_queries: Sequence[ScoredQuery], out: Path, limits: Limits, say: Say
) -> tuple[Any, Any]:
    """The trainer, ready to run, and the config that the export follows."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainingArguments

    config, tuned = task.config, task.tuned
    train, held_out = _split(scored_queries, config)
    dtype = dtype_of(config.dtype, tuned.base)
    torch.manual_seed(config.seed)
    weight_dtype = getattr(torch, dtype) if tuned.adapter else storage_dtype(dtype, config)
    model = AutoModelForCausalLM.from_pretrained(tuned.base.path, dtype=weight_dtype)
    model, plan = adapt(model, tuned, config)
    steps = _steps(config, len(train), limits)
    options = arguments(config, out, steps, dtype)
    if config.checkpointing:
        options["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    tokenizer = AutoTokenizer.from_pretrained(tuned.base.path)
    trainer = trainer_class()(
        schedule=lambda start: schedule(config, steps, limits, start),
        limits=limits,
        say=say,
        log=out / "log.jsonl",
        rank_weight=config.rank_weight,
        model=model,
        args=one_gpu(TrainingArguments(**options, label_names=["scores"])),
        train_dataset=train,
        eval_dataset=held_out or None,
        processing_class=tokenizer,
        data_collator=partial(collate, pad=tokenizer.pad_token_id or 0),
    )
    return trainer, plan


def _free(engine: Any) -> None:
    """Frees the fine-tuned model after its responses: images and training need the memory."""
    if close := getattr(engine, "close", None):
        close()


def _split(
    scored_queries: Sequence[ScoredQuery], config: RRHFConfig
) -> tuple[list[ScoredQuery], list[ScoredQuery]]:
    """The queries of every epoch in the order of training, and the last queries, held out."""
    least = config.batch * config.accumulate + config.held_out
    if len(scored_queries) < least:
        raise BadInput(
            f"{len(scored_queries)} queries have two different responses, but the recipe takes {least} "
            f"(a step and {config.held_out} held out): align with more prompts, or lower batch or held_out"
        )
    cut = len(scored_queries) - config.held_out
    orders = [np.random.default_rng([config.seed, epoch]).permutation(cut) for epoch in range(config.epochs)]
    return [scored_queries[i] for order in orders for i in order], list(scored_queries[cut:])


def _steps(config: RRHFConfig, queries: int, limits: Limits) -> int:
    whole = queries // (config.batch * config.accumulate * share()[1])
    return max(1, min(whole, limits.steps or whole))


def _report(
    task: AlignmentTask, counts: dict[str, Any], scored_queries: Sequence[ScoredQuery], trainer: Any
) -> dict[str, Any]:
    tuned = task.tuned
    return {
        "recipe": task.config.to_json(),
        "base": {"name": tuned.model, "digest": tuned.base.digest},
        "tuned": tuned.digest,
        "reward": {"name": task.reward.name, **task.reward.report()},
        "data": {"digest": _digest(task.source), "queries": len(scored_queries)},
        "responses": counts,
        "steps": trainer.state.global_step,
        "tokens": trainer.tokens,
        "machine": machine(trainer.model),
        "versions": versions(),
    }


def _digest(source: Path) -> str:
    """The digest of a DABench folder's files, or of a file of requests."""
    from diffagent.data.weights.wheel import sha256

    return data_digest(source) if source.is_dir() else sha256(source)


def _finish(
    trainer: Any, tuned: TunedModel, plan: RRHFConfig, out: Path, report: dict[str, Any]
) -> dict[str, Any]:
    """Writes the weights, the curves and, last, ``run.json``."""
    from diffagent.training.sft.curves import draw
    from diffagent.training.sft.export import export

    model = trainer.accelerator.unwrap_model(trainer.model)
    report["weights"] = export(model, plan, tuned.model, tuned.base, out)
    if find_spec("matplotlib") is not None:
        draw(out / "log.jsonl", out / "curves.png")
    (out / "run.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report
