"""``diffagent mcp``: the agent as tools of the Model Context Protocol; stdout carries the protocol only."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from diffagent.serving.commands.shared_options import ENGINE, catalog_option


@click.command()
@catalog_option()
@ENGINE
@click.option("--target-url", metavar="URL", help="The server whose installed models may be asked for.")
def mcp(catalog: str | None, engine: str, llm: str | None, target_url: str | None) -> None:
    """Serve route_prompt, identify_model and search_models to an MCP client over stdin and stdout.

    The client starts it. The language model is loaded at the first call that needs it.
    """
    import asyncio

    from diffagent.data.catalog.catalog import Catalog
    from diffagent.serving.tools.mcp import serve_stdio, server, tools
    from diffagent.serving.tools.shared_agent import SharedAgent

    agent = SharedAgent.load(catalog, llm, engine)
    served = server(tools(agent, lambda: Catalog.open(catalog), target_url))
    Catalog.open(catalog).close()  # a wrong path is an error now, not at the first call
    signal.signal(signal.SIGINT, _interrupted)
    asyncio.run(serve_stdio(served))
    agent.close()
    if agent.is_busy:
        _leave(0)  # a call whose client is gone; joining its thread would take as long as the call


def _interrupted(_signal: int, _frame: object) -> None:
    """The handler of Ctrl-C: asyncio would wait for the thread that reads stdin, and that for the client."""
    click.echo("diffagent: interrupted", err=True)
    _leave(1)


def _leave(status: int) -> NoReturn:
    sys.stderr.flush()  # not stdout: the protocol's answers are out, and nothing else belongs there
    os._exit(status)  # nothing is open for writing
