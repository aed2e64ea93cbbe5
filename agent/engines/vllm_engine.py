"""The engine in vLLM: continuous batches with a prefix cache, on a GPU or on a CPU.

A choice generates one token and reads the labels' log-probabilities. An answer is generated inside its
grammar (structured outputs by llguidance) with the priors added by
:mod:`diffagent.agent.engines.vllm_priors`; drafts are ignored. Forced text at the end is appended, and an
answer that the priors alone decide is not generated at all. Batches go through ``LLM``; with ``concurrent``
the engine is an ``AsyncLLM``, for a server whose threads each send their own requests.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from diffagent.agent.engines import Choice, Prompt, Writing, decode
from diffagent.agent.engines.chat import Chat
from diffagent.agent.engines.grammar import Grammar
from diffagent.agent.engines.vllm_runners import Ask, Batch, Live, Runner, settings
from diffagent.data.errors import EngineError, EngineGone, MissingExtra


class VllmEngine:
    """See :class:`diffagent.agent.engines.BatchEngine`."""

    batch_size = 64

    def __init__(self, runner: Runner, chat: Chat, digest: str, longest: int) -> None:
        self.digest, self.chat = digest, chat
        self._runner, self._longest = runner, longest
        self._vocabulary = decode.Vocabulary(chat)

    @classmethod
    def load(
        cls, llm: str | None = None, *, concurrent: bool = False, dtype: str | None = None
    ) -> VllmEngine:
        """Loads a folder or a name; default: the embedded model merged with the packaged adapter.

        Raises:
            MissingExtra: vLLM is not installed. MissingWeights: the model is missing.
            EngineGone: vLLM does not start.
        """
        from importlib.util import find_spec

        from diffagent.agent.engines.merged import merge_weights

        if find_spec("vllm") is None:
            raise MissingExtra("the engine vllm needs vLLM: pip install 'diffagent[vllm]' (a GPU build)")
        weights = merge_weights(llm)
        chat = Chat(weights.path)
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout is for results
        options = settings(weights.path, cls.batch_size, dtype)
        try:
            runner: Runner = Live(options) if concurrent else Batch(options)
        except Exception as error:  # from a driver, a compiler or a subprocess
            reason = " ".join(str(error).split())[-300:]
            raise EngineGone(f"vLLM does not start with {weights.path}: {reason}") from error
        return cls(runner, chat, weights.digest, options["max_model_len"])

    def forget(self) -> None:
        """Empties the prefix cache, so that measurements are independent."""
        self._runner.forget()

    def close(self) -> None:
        """Ends vLLM's processes."""
        self._runner.close()

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        """See :class:`diffagent.agent.engines.Engine`; the draft is not read."""
        scores: list[float] = _only(self.choose_many([Choice(prompt, tuple(options))]))
        return scores

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        """See :class:`diffagent.agent.engines.Engine`; the draft is not read."""
        return str(_only(self.write_many([Writing(prompt, grammar)])))

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float] | EngineError]:
        """Calls :meth:`choose` for each, in one batch."""
        import numpy as np
        from vllm import SamplingParams

        asks: list[Ask | EngineError] = []
        for choice in choices:
            try:
                labels = self._vocabulary.label_ids(choice.options)
                params = SamplingParams(
                    max_tokens=1, temperature=0.0, logprob_token_ids=labels, detokenize=False
                )
                asks.append((self._ids(choice.prompt), params))
            except EngineError as error:
                asks.append(error)
        answers: list[list[float] | EngineError] = []
        for choice, output in zip(choices, self._run(asks), strict=True):
            if isinstance(output, EngineError):
                answers.append(output)
                continue
            log_probabilities = output.outputs[0].logprobs[0]
            row = [log_probabilities[label].logprob for label in self._vocabulary.label_ids(choice.options)]
            answers.append(decode.normalise(np.array(row, dtype=np.float32)))
        return answers

    def write_many(self, writings: Sequence[Writing]) -> list[str | EngineError]:
        """Calls :meth:`write` for each, in one batch."""
        asks: list[Ask | EngineError | str] = []
        for writing in writings:
            try:
                asks.append(self._prior_answer(writing.grammar) or self._question(writing))
            except EngineError as error:
                asks.append(error)
        answers: list[str | EngineError] = []
        for writing, output in zip(writings, self._run(asks), strict=True):
            if isinstance(output, EngineError | str):
                answers.append(output)
                continue
            try:
                answers.append(self._answer(writing.grammar, output.outputs[0].token_ids))
            except EngineError as error:
                answers.append(error)
        return answers

    def _prior_answer(self, grammar: Grammar) -> str:
        """Returns the answer where the priors alone decide, else an empty text."""

        def score(*_: Any) -> Any:
            raise AssertionError("with weight 0 no place is open")

        return "" if grammar.llm_weight else decode.write(grammar, self._vocabulary, score)

    def _question(self, writing: Writing) -> Ask:
        return self._ids(writing.prompt), self._params(writing.grammar)

    def generate(self, prompt: Prompt, max_new_tokens: int) -> str:
        """Returns the model's own greedy answer, without a grammar."""
        return self.generate_many([prompt], max_new_tokens)[0]

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        """Calls :meth:`generate` for each prompt; vLLM forms its own batches."""
        from vllm import SamplingParams

        params = SamplingParams(
            max_tokens=max_new_tokens,
            temperature=0.0,
            stop_token_ids=self.chat.end_ids,
            detokenize=False,
        )
        outputs = self._run([(self._ids(prompt), params) for prompt in prompts])
        return [self.chat.decode(list(output.outputs[0].token_ids)) for output in outputs]

    def _ids(self, prompt: Prompt) -> list[int]:
        ids = self.chat.prompt_ids(prompt)
        if len(ids) >= self._longest:
            raise EngineError(
                f"the prompt has {len(ids)} tokens, the model takes {self._longest}; shorten the prompt"
            )
        return ids

    def _params(self, grammar: Grammar) -> Any:
        """Returns the sampling parameters of an answer, up to the first token after the last slot."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        from diffagent.agent.engines.vllm_priors import pack

        head = self._head(grammar)
        short = Grammar((*_without_tail(grammar), head) if head else grammar.parts, grammar.llm_weight)
        longest = "".join(
            part if isinstance(part, str) else max(part.options, key=len) for part in short.parts
        )
        return SamplingParams(
            max_tokens=len(longest.encode()) + 1,
            temperature=0.0,
            detokenize=False,
            structured_outputs=StructuredOutputsParams(grammar=short.to_lark()),
            extra_args=pack(grammar),
        )

    def _head(self, grammar: Grammar) -> str:
        """Returns the forced tail's first token, since the model may decide whether it comes next."""
        tail = grammar.tail.encode()
        if not tail or not grammar.slots:
            return ""
        head = self._vocabulary.text([self._vocabulary.first_token(tail)])
        while head and not _is_text(head):
            head = tail[: len(head) + 1]
        return head.decode("utf-8")

    def _answer(self, grammar: Grammar, tokens: Sequence[int]) -> str:
        text_tokens = [token for token in tokens if token not in self.chat.end_ids]
        text = self._vocabulary.text(text_tokens).decode("utf-8", "replace")
        head = self._head(grammar)
        answer = text.removesuffix(head) + grammar.tail if head else text
        grammar.parse(answer)
        return answer

    def _run(self, asks: Sequence[Ask | EngineError | str]) -> list[Any]:
        """Returns the outputs of the asks; existing errors and answers stay in their places."""
        sound = [ask for ask in asks if not isinstance(ask, EngineError | str)]
        try:
            outputs = iter(self._runner.run(sound) if sound else [])
        except EngineError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[-300:]
            raise EngineGone(f"vLLM failed: {type(error).__name__} {reason}") from error
        return [ask if isinstance(ask, EngineError | str) else next(outputs) for ask in asks]


def _without_tail(grammar: Grammar) -> tuple[Any, ...]:
    free = max(index for index, part in enumerate(grammar.parts) if not isinstance(part, str))
    return grammar.parts[: free + 1]


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _only(answers: Sequence[Any]) -> Any:
    if isinstance(answers[0], EngineError):
        raise answers[0]
    return answers[0]
