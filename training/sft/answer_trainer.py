"""trl's SFTTrainer with our loss, schedule, log and clock, in one process or several."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.training.sft.answer_loss import AnswerWeights, answer_loss
from diffagent.training.sft.dialogues import IGNORED
from diffagent.training.sft.frozen_blocks import FrozenBlocks, first_trained_block

if TYPE_CHECKING:
    from diffagent.training.sft.limits import Limits, Say


SHOWN = ("loss", "eval_loss", "learning_rate", "tokens_per_s")
"""The fields of a log row that the console shows."""


class PacedTrainer:
    """The mixin of both stages' Trainers: our schedule, a clock, and a log in place of printed lines.

    ``schedule(start)`` returns step → factor of the learning rate.
    """

    args: Any
    state: Any
    optimizer: Any
    add_callback: Callable[[Any], None]
    remove_callback: Callable[[Any], None]

    def __init__(
        self,
        *,
        schedule: Callable[[int], Callable[[int], float]],
        limits: Limits,
        say: Say,
        log: Path,
        **options: Any,
    ) -> None:
        from transformers.trainer_callback import PrinterCallback

        self.lr_scheduler: Any = None
        super().__init__(**options)
        self._schedule = schedule
        self.tokens = 0
        """Tokens trained on in this process, padding left out."""
        self._logged = (0, time.monotonic())
        self.remove_callback(PrinterCallback)  # it prints on stdout
        self.add_callback(clock(limits, say))
        self.add_callback(diary(log, say))

    def computing(self, model: Any) -> AbstractContextManager[Any]:
        """The autocast context of a pass: bf16 where it is configured and ``model`` itself has fp32
        weights."""
        import torch

        of_model = (parameter for name, parameter in model.named_parameters() if "lora_" not in name)
        mixed = self.args.bf16 and any(parameter.dtype == torch.float32 for parameter in of_model)
        return torch.autocast(model.device.type, torch.bfloat16) if mixed else nullcontext()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Logs as the Trainer does, and adds the tokens per second since the last call."""
        if "loss" in logs:
            tokens, began = self._logged
            self._logged = (self.tokens, time.monotonic())
            logs["tokens_per_s"] = (self.tokens - tokens) / max(self._logged[1] - began, 1e-9)
        super().log(logs, start_time)  # type: ignore[misc]

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        from torch.optim.lr_scheduler import LambdaLR

        if self.lr_scheduler is None:
            start = self.state.global_step
            self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self._schedule(start))
            self._created_lr_scheduler = True
        return self.lr_scheduler


@cache
def trainer_class() -> Any:
    """The trainer's class, created at first use, because its base takes seconds to import."""
    from trl.trainer.sft_trainer import SFTTrainer

    class AnswerTrainer(PacedTrainer, SFTTrainer):  # type: ignore[misc]
        """SFTTrainer with :func:`~diffagent.training.sft.answer_loss.answer_loss`."""

        def __init__(self, *, choice: AnswerWeights, **options: Any) -> None:
            super().__init__(**options)
            self._choice = choice
            self._frozen: FrozenBlocks | None = None

        def _frozen_blocks(self, plain: Any) -> FrozenBlocks | None:
            """The blocks below the first trained one, where one process computes their states."""
            if (
                self._frozen is None
                and self.accelerator.num_processes == 1
                and (first := first_trained_block(plain))
            ):
                self._frozen = FrozenBlocks(plain, first)
            return self._frozen

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            log_priors, parameters = inputs.pop("log_priors", None), inputs.pop("parameters", None)
            letter_targets = inputs.pop("targets", None)
            real = inputs["attention_mask"]
            if self.model.training:
                self.tokens += int(real.sum())
            processes = self.accelerator.num_processes
            plain = self.accelerator.unwrap_model(model)
            plain = plain.get_base_model() if hasattr(plain, "peft_config") else plain
            mode = "train" if self.model.training else "eval"
            choice = self._choice if self.model.training else self._choice.measured()
            with self.computing(plain):
                loss, accuracies = answer_loss(
                    plain,
                    inputs["input_ids"],
                    real,
                    inputs["labels"],
                    num_items_in_batch,
                    choice,
                    log_priors,
                    parameters,
                    letter_targets,
                    share=not self.args.gradient_checkpointing,
                    wrapped=model if processes > 1 else None,
                    frozen=self._frozen_blocks(plain),
                )
            if processes > 1 and num_items_in_batch is not None and self.args.average_tokens_across_devices:
                loss = loss * processes  # the count covers all processes, whose gradients are averaged
            for name, share in accuracies.items():
                self._metrics[mode][name].append(share)
            return loss

    return AnswerTrainer


def collate(examples: list[dict[str, Any]], pad: int) -> dict[str, Any]:
    """A batch, padded on the right: ids, mask and labels [batch, length]; ``log_priors`` [batch, k], padded
    with −inf; ``targets`` [batch, k], padded with 0; ``parameters`` [batch, 2]."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def stack(name: str, kind: torch.dtype, filler: float) -> torch.Tensor:
        rows = [torch.tensor(example[name], dtype=kind) for example in examples]
        return pad_sequence(rows, batch_first=True, padding_value=filler)

    ids = [torch.ones(len(example["input_ids"]), dtype=torch.long) for example in examples]
    return {
        "input_ids": stack("input_ids", torch.long, pad),
        "attention_mask": pad_sequence(ids, batch_first=True),
        "labels": stack("labels", torch.long, IGNORED),
        "log_priors": stack("log_priors", torch.float32, -math.inf),
        "targets": stack("targets", torch.float32, 0.0),
        "parameters": torch.tensor([example["parameters"] for example in examples]),
    }


def clock(limits: Limits, say: Say) -> Any:
    """A callback that ends a run when its time is up."""
    from transformers.trainer_callback import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]
        """Ends the run when its time is up, after a last evaluation and a checkpoint."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if limits.spent() >= 1 and not control.should_training_stop:
                say(f"{limits.minutes:g} minutes are up at step {state.global_step}: saving")
                control.should_save = control.should_training_stop = True
                control.should_evaluate = args.eval_strategy != "no"

    return Clock()


def diary(log: Path, say: Say) -> Any:
    """A callback that writes the log."""
    from transformers.trainer_callback import TrainerCallback

    class Diary(TrainerCallback):  # type: ignore[misc]
        """Writes every row that the trainer logs as a JSON line, and its main figures on the console."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:  # rows after the checkpoint are logged again
                rows = [row for row in read_log(log) if row["step"] <= state.global_step]
                log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not state.is_world_process_zero or not logs:
                return
            row = {"step": state.global_step, **{name: _number(value) for name, value in logs.items()}}
            with log.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
            console_row = {name: row[name] for name in SHOWN if name in row}
            if console_row:
                figures = ", ".join(f"{name} {value:.4g}" for name, value in console_row.items())
                say(f"step {state.global_step} of {state.max_steps}: {figures}")

    return Diary()


def read_log(log: Path) -> list[dict[str, Any]]:
    """The rows of a log, oldest first; none where there is no log."""
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()] if log.is_file() else []


def _number(value: Any) -> float:
    return round(float(value), 6)
