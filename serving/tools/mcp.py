"""The MCP server: three tools over standard input and output, for any client of the Model Context Protocol.

    route_prompt       a prompt → a T2I call, and the request of an image API
    identify_model     example images → the models that most likely made such images
    search_models      words → entries of the catalog

In: JSON-RPC on stdin. Out: JSON-RPC on stdout, and nothing else: what else is printed goes to stderr. What a
tool cannot do is a result with ``isError`` and one line that says what to change, for the model to read.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ValidationError

from diffagent.data.errors import DiffAgentError, MissingExtra
from diffagent.serving.tools import identify, route, search
from diffagent.serving.tools.shared_agent import SharedAgent
from diffagent.serving.wording import told, wrong_arguments

if TYPE_CHECKING:
    from mcp import types
    from mcp.server.lowlevel import Server

    from diffagent.data.catalog.catalog import Catalog

_log = logging.getLogger(__name__)
SHOWN = 5
"""Candidates in an answer, which a language model reads; the agent chose among 16."""
INSTRUCTIONS = (
    "DiffAgent knows which Stable Diffusion model, LoRA and settings suit a prompt. route_prompt turns a "
    "prompt into one callable text-to-image API call; search_models and identify_model find models by words "
    "and by example images."
)


@dataclass(frozen=True)
class Tool:
    """A tool of the protocol: its arguments and answer are pydantic models, and so are its schemas."""

    name: str
    title: str
    description: str
    arguments: type[BaseModel]
    answer: type[BaseModel]
    run: Callable[[Any], Awaitable[BaseModel]]

    def declared(self) -> types.Tool:
        """As ``tools/list`` shows it."""
        from mcp import types

        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=_schema(self.arguments, "validation"),
            output_schema=_schema(self.answer, "serialization"),
            annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
        )

    async def called(self, arguments: dict[str, Any]) -> types.CallToolResult:
        """The answer, structured and as text; or what is wrong, as a result that says so."""
        try:
            asked = self.arguments.model_validate(arguments)
        except ValidationError as error:
            return _failed(wrong_arguments(error, list(self.arguments.model_fields)))
        try:
            answer = await self.run(asked)
        except DiffAgentError as error:
            return _failed(told(error))
        except Exception as error:
            _log.exception("%s failed", self.name)
            return _failed(f"{self.name} failed ({type(error).__name__}): the server's stderr says more")
        return _result(answer.model_dump_json(), answer.model_dump(mode="json"))


def _result(text: str, structured: dict[str, Any] | None) -> types.CallToolResult:
    from mcp import types

    content: list[types.ContentBlock] = [types.TextContent(type="text", text=text)]
    return types.CallToolResult(content=content, structured_content=structured, is_error=structured is None)


def _failed(text: str) -> types.CallToolResult:
    return _result(text, None)


def _schema(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    """The model's JSON schema less its docstrings, which are for readers of the code."""
    schema = model.model_json_schema(mode=mode)
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("description", None)
    return schema


def tools(
    agent: SharedAgent, open_catalog: Callable[[], Catalog], target_url: str | None = None
) -> list[Tool]:
    """The three tools.

    ``open_catalog`` gives a search its own catalog, so that it waits for no call; ``target_url`` is where the
    server stands whose installed models may be asked for.
    """

    async def routed(asked: route.RouteArguments) -> route.Routed:
        found = await agent.arun(lambda one: route.route(one, {**asked.options(), "target_url": target_url}))
        return found.model_copy(update={"candidates": found.candidates[:SHOWN]})

    async def identified(asked: identify.IdentifyArguments) -> identify.Identified:
        images = await asyncio.to_thread(identify.read_images, asked)
        return await agent.arun(lambda one: identify.identify(one, images, asked.limit))

    def searched(asked: search.SearchArguments) -> search.SearchAnswer:
        with closing(open_catalog()) as catalog:
            return search.search(catalog, asked)

    async def searched_aside(asked: search.SearchArguments) -> search.SearchAnswer:
        return await asyncio.to_thread(searched, asked)

    return [
        Tool(
            route.NAME, "Choose a text-to-image model", route.DESCRIPTION,
            route.RouteArguments, route.Routed, routed,
        ),
        Tool(
            identify.NAME, "Identify a model by example images", identify.DESCRIPTION,
            identify.IdentifyArguments, identify.Identified, identified,
        ),
        Tool(
            search.NAME, "Search text-to-image models", search.DESCRIPTION,
            search.SearchArguments, search.SearchAnswer, searched_aside,
        ),
    ]  # fmt: skip


def server(offered: list[Tool]) -> Server[Any]:
    """An MCP server of these tools, for any transport.

    Raises:
        MissingExtra: the MCP SDK is not installed.
    """
    _check_installed()
    from mcp import MCPError, types
    from mcp.server.lowlevel import Server

    by_name = {tool.name: tool for tool in offered}

    async def list_tools(_context: Any, _page: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.declared() for tool in offered])

    async def call_tool(_context: Any, asked: types.CallToolRequestParams) -> types.CallToolResult:
        tool = by_name.get(asked.name)
        if tool is None:
            given = f"there is no tool {asked.name[:60]!r}: the tools are {', '.join(by_name)}"
            raise MCPError(types.INVALID_PARAMS, given)
        return await tool.called(asked.arguments or {})

    return Server(
        "diffagent",
        version=version("diffagent"),
        title="DiffAgent",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve_stdio(served: Server[Any]) -> None:
    """Answers one client on stdin and stdout until it closes stdin; what is under way then is dropped.

    The transport keeps what is printed off the wire while it serves; what Python still buffers then would
    follow the last answer, so ``sys.stdout`` is stderr meanwhile.
    """
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (read, write):
        with redirect_stdout(sys.stderr):
            await served.run(read, write, served.create_initialization_options())


def _check_installed() -> None:
    try:
        import mcp.server  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "diffagent mcp needs the MCP SDK, which is not installed: pip install 'diffagent[mcp]'"
        ) from None
