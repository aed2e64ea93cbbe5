"""vLLM behind one verb: requests go in, outputs come out, in order; and the settings that it starts with."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

CONTEXT = 4096
"""Tokens of the longest prompt and answer, where the model takes that many."""
CPU_BLOCK = 32
"""Tokens of a block of the prefix cache on a CPU, the smallest that its kernels like."""
CPU_CACHE_GB = "1"
HEAD = {"head_dtype": "float32"}
"""The transformers engine's logits are fp32 too; in bf16 they are rounded to steps of 1/8, so that candidates
tie."""

Ask = tuple[list[int], Any]
"""Token ids and vLLM's SamplingParams."""


class Runner(Protocol):
    """What puts requests through vLLM."""

    def run(self, asks: Sequence[Ask]) -> list[Any]:
        """The outputs, in order."""
        ...

    def forget(self) -> None: ...

    def close(self) -> None: ...


class Batch:
    """``vllm.LLM``: one batch at a time."""

    def __init__(self, options: dict[str, Any]) -> None:
        from vllm import LLM

        self._llm: Any = LLM(**options)
        self._lock = threading.Lock()

    def run(self, asks: Sequence[Ask]) -> list[Any]:
        prompts = [{"prompt_token_ids": ids} for ids, _ in asks]
        with self._lock:
            return list(self._llm.generate(prompts, [params for _, params in asks], use_tqdm=False))

    def forget(self) -> None:
        self._llm.reset_prefix_cache()

    def close(self) -> None:
        self._llm.llm_engine.engine_core.shutdown()


class Live:
    """``AsyncLLM`` on a thread of its own: what many threads ask shares vLLM's continuous batch."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        self._names = itertools.count()
        self._llm: Any = self._wait(self._start(options))

    def run(self, asks: Sequence[Ask]) -> list[Any]:
        async def all_of_them() -> list[Any]:
            return list(await asyncio.gather(*(self._one(ids, params) for ids, params in asks)))

        return list(self._wait(all_of_them()))

    def forget(self) -> None:
        self._wait(self._llm.reset_prefix_cache())

    def close(self) -> None:
        self._llm.shutdown()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    @staticmethod
    async def _start(options: dict[str, Any]) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        return AsyncLLM.from_engine_args(AsyncEngineArgs(**options))

    async def _one(self, ids: list[int], params: Any) -> Any:
        last = None
        async for output in self._llm.generate({"prompt_token_ids": ids}, params, str(next(self._names))):
            last = output
        return last


def settings(folder: Path, batch_size: int, dtype: str | None = None) -> dict[str, Any]:
    """vLLM's settings for a folder of weights: ours where the defaults cost, on a CPU above all."""
    import torch

    from diffagent.agent.engines.transformers_engine import best_dtype
    from diffagent.data.devices import own_device

    cuda = torch.cuda.is_available()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    chosen = dtype or str(best_dtype(folder, own_device())).removeprefix("torch.")
    options = {
        "model": str(folder),
        "dtype": chosen,
        "hf_overrides": HEAD,
        "max_model_len": min(CONTEXT, int(config.get("max_position_embeddings", CONTEXT))),
        "max_num_seqs": 256 if cuda else batch_size,
        "enable_prefix_caching": True,
        "structured_outputs_config": {"backend": "guidance"},
        "logits_processors": ["diffagent.agent.engines.vllm_priors:Priors"],
        "disable_log_stats": True,
    }
    if cuda:
        return options
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GB)
    os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")  # of two cores it would leave one idle
    return options | {"block_size": CPU_BLOCK, "enforce_eager": True}  # compiling takes minutes there
