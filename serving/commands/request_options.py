"""The options of a request on the command line, derived from
:class:`~diffagent.agent.asking.request.Request`.

    @click.command()
    @request_options("prompt", "images")      # all of them but these
    def command(**options): Request.parse({"prompt": …, **options})

A field's name becomes ``--name`` (``FLAGS`` has those that differ), its description the help text. Values are
checked by :meth:`Request.parse`, so that every way in refuses the same with the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from diffagent.agent.asking.request import Request

Command = TypeVar("Command", bound=Callable[..., Any])

FLAGS: Mapping[str, tuple[str, ...]] = {
    "negative_prompt": ("--negative",),
    "images": ("--image",),
    "sampling_method": ("--sampler",),
    "sampling_steps": ("--steps",),
    "cfg_scale": ("--cfg",),
    "default_negative": ("--default-negative/--no-default-negative",),
    "k": ("-k",),
    "n": ("-n",),
}
"""Fields whose option is spelled otherwise."""
METAVARS: Mapping[str, str] = {"model": "NAME-OR-AIR", "target_url": "URL", "images": "FILE"}
CHOICES: Mapping[str, tuple[str, ...]] = {"type": ("Checkpoint", "LoRA")}


def request_options(*excluded: str) -> Callable[[Command], Command]:
    """A decorator that adds an option for each field of a request but those ``excluded``."""

    def decorated(command: Command) -> Command:
        for name, field in reversed(Request.model_fields.items()):
            if name != "prompt" and name not in excluded:
                command = _option(name, field)(command)
        return command

    return decorated


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    flags = FLAGS.get(name, ("--" + name.replace("_", "-"),))
    about: dict[str, Any] = {"help": field.description, "default": field.get_default(), "show_default": True}
    metavar = METAVARS.get(name)
    if name == "images":
        return click.option(*flags, name, multiple=True, metavar=metavar, help=field.description)
    if isinstance(about["default"], bool):
        return click.option(*flags, name, is_flag=True, default=about["default"], help=field.description)
    about["show_default"] = about["default"] not in (None, "")
    choices = _choices(name, field.annotation)
    if choices:
        kind: Any = click.Choice(choices, case_sensitive=False)
    else:
        kind = next((kind for kind in (int, float) if kind in _leaves(field.annotation)), str)
    return click.option(*flags, name, type=kind, metavar=metavar, **about)


def _choices(name: str, annotation: Any) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return CHOICES.get(name, ())


def _leaves(annotation: Any) -> set[Any]:
    """Returns the plain types that an annotation is made of."""
    parts = get_args(annotation)
    return (
        set().union(*map(_leaves, parts))
        if parts
        else {annotation}
        if isinstance(annotation, type)
        else set()
    )
