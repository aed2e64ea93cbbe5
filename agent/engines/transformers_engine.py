"""The engine on local weights in transformers' format: SmolLM2-135M-Instruct, a LLaMA-2-7B, any causal model.

The engine caches one sequence: a prompt followed by the tokens of a drafted answer. A new request reuses the
longest common prefix (at least the system turn), so ``choose`` and ``write`` of a prompt cost one forward
pass while the draft holds, and one short pass from each place where it does not.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.agent.engines import Prompt, decode
from diffagent.agent.engines.adapter import Adapter, shipped
from diffagent.agent.engines.causal_lm import CausalLM
from diffagent.agent.engines.chat import Chat
from diffagent.agent.engines.grammar import Grammar
from diffagent.agent.engines.llama import Llama, read_tensors
from diffagent.agent.engines.merged import merged_digest
from diffagent.data.cores import fitting_threads
from diffagent.data.devices import own_device
from diffagent.data.errors import EngineError, EngineGone, MissingWeights
from diffagent.data.weights.weights import DEFAULT_LLM, resolve

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

SMALL_BYTES = 2 * 10**9
"""Size of weights up to which a CPU without bf16 arithmetic holds them in fp32."""


class TransformersEngine:
    """See :class:`diffagent.agent.engines.Engine`. A lock makes calls from several threads wait."""

    def __init__(self, decoder: Llama | CausalLM, chat: Chat, digest: str, config: dict[str, Any]) -> None:
        self.digest = digest
        self.chat = chat
        self._held: Llama | CausalLM | None = decoder
        self._config = config
        self._lock = threading.RLock()
        self._ids: list[int] = []  # tokens in the decoder's cache
        self._first = 0  # position in _ids of the first of _states
        self._states: Any = ()

    @classmethod
    def load(
        cls,
        llm: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        adapter: Path | None = None,
    ) -> TransformersEngine:
        """Loads a folder or a name (:func:`diffagent.data.weights.weights.resolve`); default: the embedded
        model.

        ``device`` defaults to this process's GPU, if any; ``dtype`` to bf16 where the device computes in it,
        else to fp32; ``adapter`` to the packaged one for the default model.
        """
        import torch

        weights = resolve(llm or DEFAULT_LLM)
        folder = adapter or (shipped() if llm is None else None)
        device = device or own_device()
        chosen = getattr(torch, dtype) if dtype else best_dtype(weights.path, device)
        config = json.loads((weights.path / "config.json").read_text(encoding="utf-8"))
        chat = Chat(weights.path)
        files = sorted(weights.path.glob("*.safetensors"))
        if files and Llama.fits(config):
            tensors = read_tensors(files, chosen, device)
            digest = _adapt(tensors, weights.digest, folder)
            return cls(Llama(config, tensors), chat, digest, config)
        if folder is not None:
            raise MissingWeights(f"the adapter {folder} is for a plain Llama, which {weights.path} is not")
        try:
            decoder = CausalLM.load(weights.path, chosen, device)
        except (OSError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())[:200]
            raise MissingWeights(
                f"transformers cannot load {weights.path}: {reason}; give a folder of a causal language model"
            ) from None
        return cls(decoder, chat, weights.digest, config)

    @property
    def _decoder(self) -> Llama | CausalLM:
        if self._held is None:
            raise EngineGone("the engine is closed, its weights are freed: load it again")
        return self._held

    def close(self) -> None:
        """Frees the weights and the cache."""
        import gc

        import torch

        with self._lock:
            self._held, self._states, self._ids = None, (), []
            self.__dict__.pop("plain", None)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @property
    def dtype(self) -> str:
        """The type of the weights, such as ``float32``."""
        return str(self._decoder.dtype).removeprefix("torch.")

    def count_tokens(self, text: str) -> int:
        """Returns how many tokens ``text`` takes in a prompt."""
        return len(self.chat.encode(text))

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        """Returns each one-token option's log-probability as the answer's next token, normalised over them.

        ``draft`` goes through the model in the same pass, so a following ``write`` of that text needs none.
        """
        labels = self._vocabulary.label_ids(options)
        with self._lock:
            ids = self.chat.prompt_ids(prompt)
            logits = self._score(ids, labels, lambda: self._vocabulary.encode(draft))
        return decode.normalise(logits)

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        """Writes the answer inside ``grammar`` (:mod:`diffagent.agent.engines.decode`)."""
        with self._lock:
            ids = self.chat.prompt_ids(prompt)

            def score(done: list[int], tokens: list[int], guess: decode.Guess) -> NDArray[np.float32]:
                return self._score(ids + done, tokens, guess)

            return decode.write(grammar, self._vocabulary, score, draft)

    def generate(self, prompt: Prompt, max_new_tokens: int, min_new_tokens: int = 0) -> str:
        """Returns the greedy answer of transformers' ``generate()``, the baseline of speed figures."""
        return self.generate_many([prompt], max_new_tokens, min_new_tokens=min_new_tokens)[0]

    def generate_many(
        self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8, min_new_tokens: int = 0
    ) -> list[str]:
        """Calls :meth:`generate` for each prompt, in batches of similar length."""
        import torch

        rows = [self.chat.prompt_ids(prompt) for prompt in prompts]
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))
        answers = [""] * len(rows)
        with self._lock, torch.inference_mode():
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                batch = [rows[i] for i in chosen]
                outputs = self.plain.generate(batch, self.chat.end_ids, max_new_tokens, min_new_tokens)
                for i, ids in zip(chosen, outputs, strict=True):
                    answers[i] = self.chat.decode(ids)
        return answers

    @cached_property
    def plain(self) -> CausalLM:
        """transformers' own model on the same weights."""
        decoder = self._decoder
        return CausalLM.of_llama(self._config, decoder.tensors) if isinstance(decoder, Llama) else decoder

    @cached_property
    def _vocabulary(self) -> decode.Vocabulary:
        return decode.Vocabulary(self.chat)

    def _score(self, ids: list[int], tokens: list[int], guess: decode.Guess) -> NDArray[np.float32]:
        """Returns the logits of ``tokens`` after ``ids``; ``guess()`` runs with ``ids`` if they must run."""
        import torch

        with torch.inference_mode():
            last = len(ids) - 1
            is_cached = 0 <= last - self._first < len(self._states) and self._ids[: last + 1] == ids
            if not is_cached:
                self._run(ids, guess())
            logits: NDArray[np.float32] = self._decoder.logits(
                self._states[last - self._first], tokens
            ).numpy()
            return logits

    def _run(self, ids: list[int], guess: list[int]) -> None:
        """Runs the model on ``ids`` and ``guess`` from where they differ from its cache."""
        longest = self._decoder.max_length
        if len(ids) > longest:
            raise EngineError(
                f"the prompt has {len(ids)} tokens, the model takes {longest}; shorten the prompt"
            )
        whole = (ids + guess)[:longest]
        common = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._ids, whole, strict=False))
        )
        start = min(common, len(ids) - 1)
        self._ids, self._states, self._first = whole[:start], (), len(ids) - 1
        self._decoder.crop(start)
        with fitting_threads():
            self._states = self._decoder.extend(whole[start:], keep=len(whole) - self._first)
        self._ids = whole


def _adapt(tensors: dict[str, torch.Tensor], digest: str, folder: Path | None) -> str:
    """Merges the adapter of a folder, if any, into the weights; returns the new digest."""
    if folder is None:
        return digest
    adapter = Adapter.open(folder)
    adapter.merge(tensors, digest)
    return merged_digest(digest, adapter)


def best_dtype(folder: Path, device: str) -> torch.dtype:
    """Returns bf16, but fp32 on a CPU without bf16 (up to ten times slower) if the weights are small."""
    import torch

    small = sum(file.stat().st_size for file in folder.glob("*.safetensors")) <= SMALL_BYTES
    return torch.float32 if small and not computes_bf16(device) else torch.bfloat16


def computes_bf16(device: str) -> bool:
    """Whether a device has bf16 arithmetic; a CPU without it emulates it, up to ten times slower."""
    import torch

    return device != "cpu" or torch.cpu._is_avx512_bf16_supported()
