"""A fine-tuned model: the source of its weights, and the adapter with which its training goes on."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from diffagent.agent.engines.adapter import FILE, Adapter, shipped
from diffagent.data.errors import BadInput
from diffagent.data.weights.weights import DEFAULT_LLM, Weights, resolve
from diffagent.training.sft.frozen_blocks import freeze
from diffagent.training.sft.recipe import AdapterConfig, Kind

if TYPE_CHECKING:
    import torch

    from diffagent.agent.engines.transformers_engine import TransformersEngine

SHIPPED = "shipped"
"""The name of the default model with the adapter that ships."""


@dataclass(frozen=True)
class TunedModel:
    """A fine-tuned model: ``base`` under the name ``model``, and the adapter that was trained on it, if any.

    With an adapter, alignment trains the same low-rank matrices, so that one adapter carries both stages.
    """

    model: str
    base: Weights
    adapter: Path | None

    @classmethod
    def find(cls, llm: str | None) -> Self:
        """The model of a run's folder (``train sft -o``), of a folder or name of whole weights, or the one
        that ships: by default, and by the name ``shipped``.

        Raises:
            BadInput: no fine-tuned adapter ships. MissingWeights: the weights are nowhere to be found.
        """
        if llm in (None, SHIPPED):
            folder = shipped()
            if folder is None:
                raise BadInput(
                    "no fine-tuned adapter ships", "give a folder of diffagent train sft with --llm"
                )
            return cls(DEFAULT_LLM, resolve(DEFAULT_LLM), folder)
        run = Path(llm)
        if (run / "adapter" / FILE).is_file() and (run / "run.json").is_file():
            name = str(json.loads((run / "run.json").read_text("utf-8"))["base"]["name"])
            return cls(name, resolve(name), run / "adapter")
        name = str(run / "merged") if (run / "merged").is_dir() else llm
        return cls(name, resolve(name), None)

    @property
    def digest(self) -> str:
        """The digest of the base and, if there is one, of the adapter."""
        return (
            self.base.digest
            if self.adapter is None
            else f"{self.base.digest}+{Adapter.open(self.adapter).digest}"
        )

    def engine(self) -> TransformersEngine:
        """The engine that serves the model."""
        from diffagent.agent.engines.transformers_engine import TransformersEngine

        return TransformersEngine.load(str(self.base.path), adapter=self.adapter)


def adapt(model: Any, tuned: TunedModel, config: Kind) -> tuple[Any, Kind]:
    """The model with its trainable part: the adapter of fine-tuning, in its layers, a new one in the layers
    of the blocks that are trained, or the weights themselves; and the config with that adapter's rank and
    alpha."""
    import torch

    if tuned.adapter is None and config.lora is None:
        if config.first_block:
            freeze(model, config.first_block, model.dtype)
        return model, config
    from peft import LoraConfig, get_peft_model

    pairs: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    lora, layers = config.lora or AdapterConfig(), None
    if tuned.adapter is not None:
        stored = Adapter.open(tuned.adapter)
        pairs = stored.pairs()
        r = next(iter(pairs.values()))[0].shape[0]
        lora, layers = replace(lora, r=r, alpha=stored.scale * r), list(pairs)
    peft_model = get_peft_model(
        model,
        LoraConfig(
            r=lora.r,
            lora_alpha=lora.alpha,  # peft's annotation says int, its arithmetic takes any number
            lora_dropout=lora.dropout,
            target_modules=layers or adapted_layers(model, config.first_block),
            task_type="CAUSAL_LM",
        ),
    )
    with torch.no_grad():
        for name, (a, b) in pairs.items():
            layer = peft_model.get_submodule(f"base_model.model.{name}")
            layer.lora_A["default"].weight.copy_(a)
            layer.lora_B["default"].weight.copy_(b)
    return peft_model, replace(config, lora=lora, extract_rank=None)


def adapted_layers(model: Any, first_block: int) -> list[str]:
    """The names of a model's linear layers in the blocks from ``first_block`` up, without its head."""
    import torch

    linear = [
        name for name, module in model.base_model.named_modules() if isinstance(module, torch.nn.Linear)
    ]
    return [name for name in linear if (block := re.search(r"\d+", name)) and int(block[0]) >= first_block]
