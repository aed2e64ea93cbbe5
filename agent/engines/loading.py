"""Loading an engine by name."""

from __future__ import annotations

import os

from diffagent.agent.engines import Engine
from diffagent.data.errors import BadInput

ENGINES = ("transformers", "vllm")
"""Local engines; the URL of a vllm serve or of a chat completions server is another."""


def load_engine(name: str = "transformers", llm: str | None = None, concurrent: bool = False) -> Engine:
    """Loads the engine ``name``, or the server at that URL, with the model ``llm`` (a folder or a name).

    The default model is the embedded one, on a chat server the first that it lists. ``concurrent``: many
    threads ask at once, as in a server.

    Raises:
        BadInput: the engine is unknown. MissingWeights, MissingExtra: the model or a library is missing.
        EngineGone: the server does not answer.
    """
    if name == "transformers":
        from diffagent.agent.engines.transformers_engine import TransformersEngine

        return TransformersEngine.load(llm)
    if name == "vllm":
        from diffagent.agent.engines.vllm_engine import VllmEngine

        return VllmEngine.load(llm, concurrent=concurrent)
    if name.startswith(("http://", "https://")):
        return _behind(name, llm)
    raise BadInput(f"unknown engine {name!r}; the engines are {', '.join(ENGINES)} and a server's URL")


def _behind(url: str, llm: str | None) -> Engine:
    """Returns the engine of a server: by tokens for vLLM, by chat for any other."""
    from diffagent.agent.engines.chat_server import ChatServerEngine
    from diffagent.agent.engines.endpoint import EndpointEngine
    from diffagent.agent.engines.remote import KEY, Remote

    remote = Remote(url, key=os.environ.get(KEY), llm=llm)
    if not remote.is_vllm:
        return ChatServerEngine(remote)
    remote.llm = None  # a folder or a hub's name, which may differ from the server's
    return EndpointEngine.load(remote, llm)
