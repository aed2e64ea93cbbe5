"""Targets: from a T2I call to the request of a real API. Pure functions; nothing is sent.

emitted = emit(call, "comfyui", catalog)
emitted.request, emitted.not_carried          # the graph, and the fields that it could not carry

The table names each target's module, imported on first use. A new target is a module and
a row.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal

from diffagent.data.errors import BadInput

if TYPE_CHECKING:
    from diffagent.agent.targets.target import Target

ITSELF = "diffagent"
"""The target that is the call itself."""

TABLE: dict[str, str] = {
    "a1111": "diffagent.agent.targets.a1111",
    "comfyui": "diffagent.agent.targets.comfyui",
    "horde": "diffagent.agent.targets.horde",
    "civitai": "diffagent.agent.targets.civitai",
    "openai": "diffagent.agent.targets.openai",
    "diffusers": "diffagent.agent.targets.diffusers",
}
"""Name → module, whose ``TARGET`` it is."""

TARGETS: tuple[str, ...] = (ITSELF, *TABLE)

if TYPE_CHECKING:
    TargetName = str
else:
    TargetName = Literal[TARGETS]
"""One of :data:`TARGETS`; pydantic and the command line read the names from it."""


def check_target(name: str) -> None:
    """Refuses an unknown target's name."""
    if name != ITSELF and name not in TABLE:
        raise BadInput(f"unknown target {name!r}: choose one of {', '.join((ITSELF, *TABLE))}")


def titles() -> dict[str, str]:
    """Returns every target's name with its title."""
    return {ITSELF: "call", **{name: load(name).title for name in TABLE}}


def load(name: str) -> Target:
    """Returns the target of a name.

    Raises:
        BadInput: the name is unknown, or is the call itself, which nothing runs.
    """
    check_target(name)
    if name == ITSELF:
        raise BadInput(f"{ITSELF} is the call itself and makes no image: give one of {', '.join(TABLE)}")
    target: Target = import_module(TABLE[name]).TARGET
    return target


def of_workflows() -> str:
    """Returns the name of the target that takes a user's graph."""
    return next(name for name in TABLE if load(name).workflows)
