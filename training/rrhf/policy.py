"""The policy π that is aligned: a fine-tuned model and its decoding."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from diffagent.agent.engines.decode import Vocabulary

if TYPE_CHECKING:
    from diffagent.agent.engines import Prompt
    from diffagent.agent.engines.chat import Chat
    from diffagent.agent.engines.transformers_engine import TransformersEngine
    from diffagent.training.rrhf.decoder import Prefill


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
