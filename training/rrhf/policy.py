"""The policy π that is aligned: a fine-tuned model, where its weights come from, and how it is asked."""

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
    from diffagent.training.rrhf.decoder import Asked


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned model: ``base`` under the name ``model``, and the adapter that was trained on it, if any.

    With an adapter the same low-rank matrices are trained on, so that one adapter carries both stages.
    """

    model: str
    base: Weights
    adapter: Path | None

    @classmethod
    def find(cls, llm: str | None) -> Self:
        """Of a run's folder (``train sft -o``), a folder or name of whole weights, or by default of what
        ships.

        Raises:
            BadInput: nothing that ships is fine-tuned. MissingWeights: the weights are found nowhere.
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
        """Of the base and, with one, its adapter."""
        return (
            self.base.digest
            if self.adapter is None
            else f"{self.base.digest}+{Adapter.open(self.adapter).digest}"
        )

    def engine(self) -> TransformersEngine:
        """The engine that serves it."""
        from diffagent.agent.engines.transformers_engine import TransformersEngine

        return TransformersEngine.load(str(self.base.path), adapter=self.adapter)


class Policy:
    """A model that answers questions; decoding starts from :meth:`ask`."""

    def __init__(self, model: Any, chat: Chat) -> None:
        self.model, self.chat = model, chat

    @classmethod
    def of(cls, engine: TransformersEngine) -> Self:
        return cls(engine.plain.model, engine.chat)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.chat)

    def ask(self, question: Prompt) -> Asked:
        from diffagent.training.rrhf.decoder import Asked

        return Asked(self.model, self.chat.prompt_ids(question))
