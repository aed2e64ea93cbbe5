"""vLLM's runners, from requests to outputs in order, and vLLM's settings."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from diffagent.data.errors import BadInput, EngineGone

CONTEXT = 4096
"""The most tokens of prompt and answer, where the model takes that many."""
CPU_BLOCK = 32
"""Tokens of a block of the prefix cache on a CPU, the smallest that its kernels support well."""
CPU_CACHE_GB = "1"
HEAD = {"head_dtype": "float32"}
"""Logits in fp32, as in the transformers engine; bf16 would round them to steps of 1/8, so that candidates
tie."""

CACHED_TOKENS = 256 * 1024
"""Tokens of the key-value cache on a GPU: 256 requests of a usual length."""
RESERVE = 3 * 2**30
"""Bytes for activations, logits and CUDA graphs."""
MOST_MEMORY = 0.9
"""The largest share of a GPU's memory to use."""
RUNNER = "VLLM_USE_V2_MODEL_RUNNER"
"""The switch of vLLM's second model runner, the default on GPUs, which lacks our logits processors'
interface."""

Ask = tuple[list[int], Any]
"""Token ids and vLLM's SamplingParams."""


class Runner(Protocol):
    """Sends requests through vLLM."""

    def run(self, asks: Sequence[Ask]) -> list[Any]:
        """Returns the outputs, in order."""
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
    """``AsyncLLM`` on its own thread: requests of many threads share vLLM's continuous batch."""

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
    """Returns vLLM's settings for a folder of weights: changed where the defaults are slow, mainly on a CPU,
    and where they exclude our logits processor, on a GPU.

    Raises:
        BadInput: the environment selects the second runner. EngineGone: the GPU is too small.
    """
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
    if os.environ.get(RUNNER, "0").casefold() not in ("0", "false", ""):
        raise BadInput(
            f"{RUNNER} is {os.environ[RUNNER]!r}, but that runner of vLLM does not take the priors' logits "
            "processor: unset it to use the first one"
        )
    os.environ[RUNNER] = "0"
    if cuda:
        total = int(torch.cuda.mem_get_info(own_device())[1])
        return options | {
            "gpu_memory_utilization": memory_share(folder, config, total),
            # the processor reads each step's tokens before the next one
            "async_scheduling": False,
        }
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", CPU_CACHE_GB)
    os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")  # of two cores it would leave one idle
    return options | {"block_size": CPU_BLOCK, "enforce_eager": True}  # compiling takes minutes there


_SHAPE = ("num_attention_heads", "num_hidden_layers", "hidden_size", "vocab_size")


def memory_share(folder: Path, config: Mapping[str, Any], total: int) -> float:
    """Returns the share of a GPU's ``total`` bytes that a model and its cache need; vLLM's default is 0.9 for
    every model.

    Raises:
        EngineGone: the weights alone exceed the memory that may be used.
    """
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if any(name not in config for name in _SHAPE):  # an architecture with names of its own
        return MOST_MEMORY
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    width = (config.get("num_key_value_heads") or heads) * size
    cache: int = 2 * config["num_hidden_layers"] * width * 2 * CACHED_TOKENS
    head: int = 4 * config["vocab_size"] * config["hidden_size"]  # in fp32, see HEAD
    if weights + head + RESERVE > MOST_MEMORY * total:
        raise EngineGone(
            f"the weights of {folder} take {(weights + head) / 2**30:.0f} GiB and the GPU has "
            f"{total / 2**30:.0f}",
            "serve a smaller model, or one in several GPUs behind vllm serve (--engine URL)",
        )
    needed = weights + head + cache + RESERVE
    return round(min(MOST_MEMORY, needed / total), 3)
