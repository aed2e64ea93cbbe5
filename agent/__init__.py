"""The agent: prompt → candidates → constrained answer → T2I call.

from diffagent.agent import Agent
call = Agent.load().call("A cute happy corgi, pixel art")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent

__all__ = ["Agent"]


def __getattr__(name: str) -> Any:
    if name == "Agent":
        from diffagent.agent.agent import Agent

        return Agent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
