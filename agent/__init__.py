"""The agent: prompt → candidates → constrained answer → T2I call.

from diffagent.agent import Agent, Request
agent = Agent.load()
decision = agent.decide(Request.from_prompt("A cute happy corgi, pixel art"))

``__all__`` lists the public interface; each name is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffagent.agent.agent import Agent
    from diffagent.agent.asking.request import Request
    from diffagent.agent.choosing.prefilter import Candidate
    from diffagent.agent.decision import Decision
    from diffagent.data.errors import DiffAgentError
    from diffagent.data.records import T2ICall

__all__ = ["Agent", "Candidate", "Decision", "DiffAgentError", "Request", "T2ICall"]

_MODULES = {
    "Agent": "diffagent.agent.agent",
    "Candidate": "diffagent.agent.choosing.prefilter",
    "Decision": "diffagent.agent.decision",
    "DiffAgentError": "diffagent.data.errors",
    "Request": "diffagent.agent.asking.request",
    "T2ICall": "diffagent.data.records",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
