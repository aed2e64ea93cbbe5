"""Loads an engine by name."""

from __future__ import annotations

import os

from diffagent.agent.engines import Engine
from diffagent.data.errors import BadInput

ENGINES = ("transformers", "vllm")
"""Beside these, the URL of a vllm serve or of a server of chat completions."""


def load_engine(name: str = "transformers", llm: str | None = None, concurrent: bool = False) -> Engine:
    """The engine ``name``, or the server at that URL, with the model ``llm`` (a folder or a name).

    The default model is the embedded one, on a chat server the first that it lists. ``concurrent``: many
    threads will ask at once, as in a server.

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
        return _behind(name, llm)
    raise BadInput(f"there is no engine {name!r}; the engines are {', '.join(ENGINES)} and a server's URL")


def _behind(url: str, llm: str | None) -> Engine:
    """vLLM is read token by token, any other server as a chat."""
    from diffagent.agent.engines.chat_server import ChatServerEngine
    from diffagent.agent.engines.endpoint import EndpointEngine
    from diffagent.agent.engines.remote import KEY, Remote

    remote = Remote(url, key=os.environ.get(KEY), named=llm)
    if not remote.is_vllm:
        return ChatServerEngine(remote)
    remote.named = None  # a folder or name of the hub, which the server may call otherwise
    return EndpointEngine.load(remote, llm)
