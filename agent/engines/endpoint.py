"""The engine behind a URL: a ``vllm serve`` elsewhere, asked through OpenAI's completions API.

    vllm serve FOLDER --hf-overrides '{"head_dtype": "float32"}'
    diffagent "a fox in the snow" --engine http://HOST:8000

FOLDER holds the same weights (the default's are merged by :mod:`diffagent.agent.engines.merged`); the
override keeps its logits from being rounded to bf16.

The prompt is built and cut into tokens here, so that every engine reads the same ids, and the grammar and
the priors stay here too: the server is asked for log-probabilities of named tokens as the next one
(``logprob_token_ids``). A choice is one request; an answer is one request for all its open places, and one
more for each place at which the draft proves wrong. The server batches what arrives together.
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
"""How many tokens' log-probabilities vLLM gives at once."""
Read = tuple[list[int], list[int]]
"""Token ids of a text, and the tokens whose logits behind it are asked for."""


class EndpointEngine:
    """See :class:`diffagent.agent.engines.BatchEngine`; safe to call from many threads, which wait together.

    ``digest`` is that of the weights that the tokenizer was read with; what the server holds it does not say.
    """

    translates = False
    """Whether the model that is served may be asked to translate a prompt: a larger one than the default."""

    def __init__(self, remote: Remote, chat: Chat, digest: str) -> None:
        self.remote, self.chat, self.digest = remote, chat, digest
        self.batch_size = remote.concurrency

    @classmethod
    def load(cls, remote: Remote, llm: str | None = None) -> EndpointEngine:
        """``llm``: the model that is served, by folder or name; here only its tokenizer is used.

        Raises:
            EngineGone: no such server, or it serves no model.
        """
        from diffagent.agent.engines.merged import merged

        weights = merged(llm)
        engine = cls(remote, Chat(weights.path), weights.digest)
        engine.translates = llm is not None
        _ = remote.model
        return engine

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        """See :class:`diffagent.agent.engines.Engine`; the draft is read by :meth:`write`."""
        labels = self._vocabulary.label_ids(options)
        return decode.normalised(self._read([(self.chat.prompt_ids(prompt), labels)])[0])

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        """See :class:`diffagent.agent.engines.Engine`."""
        ids = self.chat.prompt_ids(prompt)

        def read(places: list[decode.Place]) -> list[NDArray[np.float32]]:
            return self._read([([*ids, *place.done], list(place.priors)) for place in places])

        return decode.verify(grammar, self._vocabulary, read, draft)

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float] | EngineError]:
        """:meth:`choose` of each, sent together."""
        return self.remote.all([lambda one=one: self.choose(one.prompt, one.options) for one in choices])  # type: ignore[misc]

    def write_many(self, writings: Sequence[Writing]) -> list[str | EngineError]:
        """:meth:`write` of each, sent together."""
        return self.remote.all(
            [lambda one=one: self.write(one.prompt, one.grammar, one.draft) for one in writings]  # type: ignore[misc]
        )

    def generate(self, prompt: Prompt, max_new_tokens: int) -> str:
        """The model's own greedy answer."""
        return self.generate_many([prompt], max_new_tokens)[0]

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        """:meth:`generate` for each prompt, sent together."""
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

    def _read(self, reads: Sequence[Read]) -> list[NDArray[np.float32]]:
        """Log-probabilities of the tokens of each, over the whole vocabulary."""
        import numpy as np

        found: list[list[float]] = [[] for _ in reads]
        for group in _groups(reads):
            wanted = list(dict.fromkeys(token for piece in group for token in piece.tokens))
            body = {
                "max_tokens": 1,
                "logprobs": 1,
                "logprob_token_ids": wanted,
                "return_tokens_as_token_ids": True,
            }
            choices = self._complete([reads[piece.place][0] for piece in group], body)
            for choice, piece in zip(choices, group, strict=True):
                try:
                    given = choice["logprobs"]["top_logprobs"][0]
                    found[piece.place] += [given[f"token_id:{token}"] for token in piece.tokens]
                except (KeyError, IndexError, TypeError):
                    raise EngineGone(
                        f"{self.remote.url} gives no log-probabilities of named tokens (logprob_token_ids): "
                        "it has to be a vllm serve of 0.32 or later"
                    ) from None
        return [np.array(row, dtype=np.float32) for row in found]

    def _complete(self, prompts: Sequence[Sequence[int]], body: dict[str, Any]) -> list[Any]:
        """The server's completions of token ids, in order."""
        asked = {
            "model": self.remote.model,
            "prompt": [list(ids) for ids in prompts],
            "temperature": 0,
            **body,
        }
        answer = self.remote.ask("POST", "/completions", asked)
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
class _Piece:
    """Some of the tokens of the ``place``-th read."""

    place: int
    tokens: list[int]


def _groups(reads: Sequence[Read]) -> list[list[_Piece]]:
    """The reads in order, together as long as they name at most 128 different tokens."""
    groups: list[list[_Piece]] = []
    named: set[int] = set()
    for place, (_, tokens) in enumerate(reads):
        for start in range(0, len(tokens), MOST_IDS):
            piece = _Piece(place, tokens[start : start + MOST_IDS])
            if not groups or len(named.union(piece.tokens)) > MOST_IDS:
                groups.append([])
                named = set()
            groups[-1].append(piece)
            named.update(piece.tokens)
    return groups
