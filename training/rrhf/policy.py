"""The policy π that is aligned: a fine-tuned model, the source of its weights, and its decoding."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from diffagent.agent.engines.adapter import FILE, Adapter, shipped
from diffagent.agent.engines.decode import Vocabulary
from diffagent.data.errors import BadInput
from diffagent.data.weights.weights import DEFAULT_LLM, Weights, resolve

if TYPE_CHECKING:
    from diffagent.agent.engines import Prompt
    from diffagent.agent.engines.chat import Chat
    from diffagent.agent.engines.transformers_engine import TransformersEngine
    from diffagent.training.rrhf.decoder import Prefill


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
        """The model of a run's folder (``train sft -o``), of a folder or name of whole weights, or by default
        the one that ships.

        Raises:
            BadInput: no fine-tuned adapter ships. MissingWeights: the weights are nowhere to be found.
        """
        if llm is None:
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


class Policy:
    """A model that answers questions; decoding starts from :meth:`ask`."""

    def __init__(self, model: Any, chat: Chat) -> None:
        self.model, self.chat = model, chat

    @classmethod
    def from_engine(cls, engine: TransformersEngine) -> Self:
        return cls(engine.plain.model, engine.chat)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.chat)

    def ask(self, question: Prompt) -> Prefill:
        from diffagent.training.rrhf.decoder import Prefill

        return Prefill(self.model, self.chat.prompt_ids(question))
