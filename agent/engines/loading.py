"""Loads an engine by name."""

from __future__ import annotations

from diffagent.agent.engines import Engine
from diffagent.data.errors import BadInput

ENGINES = ("transformers", "vllm")
"""Beside these, a server's URL."""


def load_engine(name: str = "transformers", llm: str | None = None, concurrent: bool = False) -> Engine:
    """The engine ``name``, or the server at that URL, with the model ``llm`` (a folder or a name).

    The default model is the embedded one. ``concurrent``: many threads will ask at once, as in a server.

    Raises:
        BadInput: no such engine. MissingWeights, MissingExtra: the model or the engine's library is not here.
        EngineGone: the server does not answer.
    """
    if name == "transformers":
        from diffagent.agent.engines.transformers_engine import TransformersEngine

        return TransformersEngine.load(llm)
    if name == "vllm":
        from diffagent.agent.engines.vllm_engine import VllmEngine

        return VllmEngine.load(llm, concurrent=concurrent)
    if name.startswith(("http://", "https://")):
        from diffagent.agent.engines.endpoint import EndpointEngine

        return EndpointEngine.load(name, llm)
    raise BadInput(f"there is no engine {name!r}; the engines are {', '.join(ENGINES)} and a server's URL")
