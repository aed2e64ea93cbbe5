"""The commands of ``diffagent``: where each is, and its line of help; each is imported when it is used."""

from __future__ import annotations

import importlib

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "call": (
        "diffagent.serving.commands.call:call",
        "Turn a prompt into one T2I call (the default command).",
    ),
    "mcp": ("diffagent.serving.commands.mcp:mcp", "Serve the agent's tools to an MCP client (stdio)."),
    "route": ("diffagent.serving.commands.route:route", "Turn a file of prompts into a file of calls."),
    "generate": (
        "diffagent.serving.commands.generate:generate",
        "Execute a call: images from an API or from here.",
    ),
    "read": ("diffagent.serving.commands.read:read", "Print the call that made a picture."),
    "serve": ("diffagent.serving.commands.serve:serve", "Answer over HTTP: our API, OpenAI's, and a page."),
    "catalog": ("diffagent.serving.commands.catalog:catalog", "List, search, show, add and import models."),
    "library": ("diffagent.serving.commands.library:library", "Make your own model files the catalog."),
    "config": ("diffagent.serving.commands.config:config", "Show and set the defaults of options."),
    "pmi": ("diffagent.serving.commands.pmi:pmi", "Identify models by example images."),
    "data": ("diffagent.serving.commands.data:data", "Crawl model hubs, describe models and build DABench."),
    "train": ("diffagent.serving.commands.training:train", "Fit what the agent decides with."),
    "eval": ("diffagent.serving.commands.training:evaluate", "Measure accuracy on held-out data."),
    "bench": ("diffagent.serving.commands.bench:bench", "Measure speed, each figure beside its baseline."),
}
"""Name → module and attribute of the command, and what it does."""


def load_command(name: str) -> click.Command:
    """The command of a name, imported from its module."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command
