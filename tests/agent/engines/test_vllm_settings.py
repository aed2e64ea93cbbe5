"""What of vLLM needs no vLLM: its settings on a GPU, and answers that the model is not asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from diffagent.agent.engines import Prompt, Writing
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.agent.engines.transformers_engine import TransformersEngine
from diffagent.agent.engines.vllm_engine import VllmEngine
from diffagent.agent.engines.vllm_runners import RUNNER, memory_share, settings
from diffagent.data.errors import BadInput, EngineGone

SMALL = {
    "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "vocab_size": 49152, "max_position_embeddings": 8192, "model_type": "llama",
}  # fmt: skip
LARGE = {
    "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 32000,
    "max_position_embeddings": 4096, "model_type": "llama",
}  # fmt: skip
GIB = 2**30


def weights(folder: Path, config: dict[str, Any], size: int) -> Path:
    """A folder with a file of a size, of which nothing is on the disk."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "model.safetensors").open("wb") as stream:
        stream.truncate(size)
    return folder


def test_the_memory_that_is_asked_for_fits_the_model(tmp_path: Path) -> None:
    small = weights(tmp_path / "small", SMALL, 270_000_000)
    large = weights(tmp_path / "large", LARGE, 13 * GIB)
    # 0.25 GiB of weights, 0.11 of head, 3 in reserve, and 262,144 tokens of 2 · 30 · 192 · 2 bytes: 5.63 GiB
    assert memory_share(small, SMALL, 80 * GIB) == pytest.approx(8.98 / 80, abs=1e-3)
    assert memory_share(small, SMALL, 24 * GIB) == pytest.approx(8.98 / 24, abs=1e-3)
    assert memory_share(large, LARGE, 80 * GIB) == 0.9  # its cache would take 128
    assert memory_share(small, {"n_embd": 576}, 80 * GIB) == 0.9
    with pytest.raises(EngineGone, match="take 13 GiB and the GPU has 16"):
        memory_share(large, LARGE, 16 * GIB)


def test_on_a_gpu_our_processor_gets_the_runner_that_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = weights(tmp_path / "small", SMALL, 270_000_000)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (70 * GIB, 80 * GIB))
    monkeypatch.delenv(RUNNER, raising=False)
    options = settings(folder, 64)
    assert (options["gpu_memory_utilization"], options["async_scheduling"]) == (0.112, False)
    import os

    assert os.environ[RUNNER] == "0"
    monkeypatch.setenv(RUNNER, "1")
    with pytest.raises(BadInput, match=f"{RUNNER} is '1', but that runner of vLLM does not take"):
        settings(folder, 64)


def test_what_weight_0_decides_is_not_generated(tiny: TransformersEngine) -> None:
    class Silent:
        """A runner that must not be asked."""

        def run(self, asks: Any) -> list[Any]:
            raise AssertionError(asks)

        def forget(self) -> None: ...

        def close(self) -> None: ...

    slot = Slot("sampler", ("Euler a", "Euler", "DDIM"), (-1.0, -2.0, -0.6))
    grammar = Grammar(("B [", slot, "]"), 0.0)
    prompt = Prompt("Write.", "a fox")
    engine = VllmEngine(Silent(), tiny.chat, "", 1500)
    assert engine.write(prompt, grammar) == "B [DDIM]" == tiny.write(prompt, grammar)
    assert engine.write_many([Writing(prompt, grammar)] * 3) == ["B [DDIM]"] * 3
