"""The engine behind a URL: a remote ``vllm serve``, through OpenAI's completions API.

    vllm serve FOLDER --hf-overrides '{"head_dtype": "float32"}'
    diffagent "a fox in the snow" --engine http://HOST:8000

FOLDER holds the same weights (the default's are merged by :mod:`diffagent.agent.engines.merged`); the
override keeps its logits from being rounded to bf16.

Prompts are built and tokenised locally, so that every engine reads the same ids, and the grammar and the
priors stay local too: the server returns log-probabilities of given tokens as the next one
(``logprob_token_ids``). A choice is one request; an answer is one request for all its open places, and one
more for each place at which the draft proves wrong. The server batches concurrent requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from diffagent.agent.engines import Choice, Prompt, Writing, decode
from diffagent.agent.engines.chat import Chat
from diffagent.agent.engines.grammar import Grammar
from diffagent.agent.engines.remote import Remote
from diffagent.data.errors import EngineError, EngineGone

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_IDS = 128
"""The most tokens whose log-probabilities vLLM returns at once."""
Query = tuple[list[int], list[int]]
"""Token ids of a text, and the tokens whose logits after it are needed."""


class EndpointEngine:
    """See :class:`diffagent.agent.engines.BatchEngine`; safe to call from many threads, which wait together.

    ``digest`` belongs to the weights beside the tokenizer; the server does not tell its own.
    """

    translates = False
    """Whether the served model may write: translate prompts, describe messages. Any but the default may."""

    def __init__(self, remote: Remote, chat: Chat, digest: str) -> None:
        self.remote, self.chat, self.digest = remote, chat, digest
        self.batch_size = remote.concurrency

    @classmethod
    def load(cls, remote: Remote, llm: str | None = None) -> EndpointEngine:
        """Connects to a server; of ``llm``, the served model's folder or name, only the tokenizer is loaded.

        Raises:
            EngineGone: the server does not answer, or serves no model.
        """
        from diffagent.agent.engines.merged import merge_weights

        weights = merge_weights(llm)
        engine = cls(remote, Chat(weights.path), weights.digest)
        engine.translates = llm is not None
        _ = remote.model
        return engine

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        """See :class:`diffagent.agent.engines.Engine`; the draft is read by :meth:`write`."""
        labels = self._vocabulary.label_ids(options)
        return decode.normalise(self._read([(self.chat.prompt_ids(prompt), labels)])[0])

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        """See :class:`diffagent.agent.engines.Engine`."""
        ids = self.chat.prompt_ids(prompt)

        def read(places: list[decode.Place]) -> list[NDArray[np.float32]]:
            return self._read([([*ids, *place.done], list(place.priors)) for place in places])

        return decode.verify(grammar, self._vocabulary, read, draft)

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float] | EngineError]:
        """Calls :meth:`choose` for each, concurrently."""
        return self.remote.all(
            [lambda choice=choice: self.choose(choice.prompt, choice.options) for choice in choices]  # type: ignore[misc]
        )

    def write_many(self, writings: Sequence[Writing]) -> list[str | EngineError]:
        """Calls :meth:`write` for each, concurrently."""
        return self.remote.all(
            [lambda task=task: self.write(task.prompt, task.grammar, task.draft) for task in writings]  # type: ignore[misc]
        )

    def generate(self, prompt: Prompt, max_new_tokens: int) -> str:
        """Returns the model's own greedy answer."""
        return self.generate_many([prompt], max_new_tokens)[0]

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        """Calls :meth:`generate` for each prompt, concurrently."""
        rows = [self.chat.prompt_ids(prompt) for prompt in prompts]
        body = {"max_tokens": max_new_tokens, "stop_token_ids": self.chat.end_ids}
        return [
            str(choice["text"])
            for start in range(0, len(rows), batch_size)
            for choice in self._complete(rows[start : start + batch_size], body)
        ]

    @cached_property
    def _vocabulary(self) -> decode.Vocabulary:
        return decode.Vocabulary(self.chat)

    def _read(self, reads: Sequence[Query]) -> list[NDArray[np.float32]]:
        """Returns log-probabilities of each query's tokens, over the whole vocabulary."""
        import numpy as np

        rows: list[list[float]] = [[] for _ in reads]
        for group in _groups(reads):
            token_ids = list(dict.fromkeys(token for piece in group for token in piece.tokens))
            body = {
                "max_tokens": 1,
                "logprobs": 1,
                "logprob_token_ids": token_ids,
                "return_tokens_as_token_ids": True,
            }
            choices = self._complete([reads[piece.place][0] for piece in group], body)
            for choice, piece in zip(choices, group, strict=True):
                try:
                    log_probabilities = choice["logprobs"]["top_logprobs"][0]
                    rows[piece.place] += [log_probabilities[f"token_id:{token}"] for token in piece.tokens]
                except (KeyError, IndexError, TypeError):
                    raise EngineGone(
                        f"{self.remote.url} returns no log-probabilities of given tokens "
                        "(logprob_token_ids): it has to be a vllm serve of 0.32 or later"
                    ) from None
        return [np.array(row, dtype=np.float32) for row in rows]

    def _complete(self, prompts: Sequence[Sequence[int]], body: dict[str, Any]) -> list[Any]:
        """Returns the server's completions of token ids, in order."""
        request = {
            "model": self.remote.model,
            "prompt": [list(ids) for ids in prompts],
            "temperature": 0,
            **body,
        }
        answer = self.remote.ask("POST", "/completions", request)
        try:
            choices = sorted(answer["choices"], key=lambda choice: choice["index"])
        except (KeyError, TypeError):
            choices = []
        if len(choices) != len(prompts):
            raise EngineError(
                f"{self.remote.url} answered {len(choices)} of {len(prompts)} completions: see its log"
            )
        return choices


@dataclass(frozen=True)
class _ReadPart:
    """Some of the tokens of the ``place``-th read."""

    place: int
    tokens: list[int]


def _groups(reads: Sequence[Query]) -> list[list[_ReadPart]]:
    """Groups queries in order, each group with at most 128 distinct tokens."""
    groups: list[list[_ReadPart]] = []
    token_ids: set[int] = set()
    for place, (_, tokens) in enumerate(reads):
        for start in range(0, len(tokens), MOST_IDS):
            piece = _ReadPart(place, tokens[start : start + MOST_IDS])
            if not groups or len(token_ids.union(piece.tokens)) > MOST_IDS:
                groups.append([])
                token_ids = set()
            groups[-1].append(piece)
            token_ids.update(piece.tokens)
    return groups
