"""The MCP server: three tools over standard input and output, for any client of the Model Context Protocol.

    route_prompt       a prompt → a T2I call, and the request of an image API
    identify_model     example images → the models that most likely made them
    search_models      words → models of the catalog

In: JSON-RPC on stdin. Out: JSON-RPC on stdout; all other output goes to stderr. The failure of a tool is a
result with ``isError`` and one line that tells the language model what to change.
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
from diffagent.serving.wording import argument_line, wrong_arguments

if TYPE_CHECKING:
    from mcp import types
    from mcp.server.lowlevel import Server

    from diffagent.data.catalog.catalog import Catalog

_log = logging.getLogger(__name__)
SHOWN = 5
"""Candidates in an answer to a language model; the agent chooses among 16."""
INSTRUCTIONS = (
    "DiffAgent knows which Stable Diffusion model, LoRA and settings suit a prompt. route_prompt turns a "
    "prompt into one callable text-to-image API call; search_models and identify_model find models by words "
    "and by example images."
)


@dataclass(frozen=True)
class McpTool:
    """A tool of the protocol; the pydantic models of its arguments and answer give its schemas."""

    name: str
    title: str
    description: str
    arguments: type[BaseModel]
    answer: type[BaseModel]
    run: Callable[[Any], Awaitable[BaseModel]]

    def declaration(self) -> types.Tool:
        """The tool's entry in ``tools/list``."""
        from mcp import types

        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=_schema(self.arguments, "validation"),
            output_schema=_schema(self.answer, "serialization"),
            annotations=types.ToolAnnotations(read_only_hint=True, open_world_hint=False),
        )

    async def call(self, arguments: dict[str, Any]) -> types.CallToolResult:
        """The answer, structured and as text, or an error as a result."""
        try:
            parsed = self.arguments.model_validate(arguments)
        except ValidationError as error:
            return _failure(wrong_arguments(error, list(self.arguments.model_fields)))
        try:
            answer = await self.run(parsed)
        except DiffAgentError as error:
            return _failure(argument_line(error))
        except Exception as error:
            _log.exception("%s failed", self.name)
            return _failure(f"{self.name} failed ({type(error).__name__}): the server's stderr says more")
        return _result(answer.model_dump_json(), answer.model_dump(mode="json"))


def _result(text: str, structured: dict[str, Any] | None) -> types.CallToolResult:
    from mcp import types

    content: list[types.ContentBlock] = [types.TextContent(type="text", text=text)]
    return types.CallToolResult(content=content, structured_content=structured, is_error=structured is None)


def _failure(text: str) -> types.CallToolResult:
    return _result(text, None)


def _schema(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    """The model's JSON schema without its docstrings, which are for readers of the code."""
    schema = model.model_json_schema(mode=mode)
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("description", None)
    return schema


def tools(
    agent: SharedAgent, open_catalog: Callable[[], Catalog], target_url: str | None = None
) -> list[McpTool]:
    """The three tools.

    ``open_catalog`` opens a catalog for each search, so that a search does not wait for calls; ``target_url``
    is the URL of the server whose installed models may be asked for.
    """

    async def run_route(arguments: route.RouteArguments) -> route.RoutedCall:
        result = await agent.arun(
            lambda loaded: route.route(loaded, {**arguments.options(), "target_url": target_url})
        )
        return result.model_copy(update={"candidates": result.candidates[:SHOWN]})

    async def run_identify(arguments: identify.IdentifyArguments) -> identify.IdentifiedModels:
        images = await asyncio.to_thread(identify.read_images, arguments)
        return await agent.arun(lambda loaded: identify.identify(loaded, images, arguments.limit))

    def search_catalog(arguments: search.SearchArguments) -> search.SearchAnswer:
        with closing(open_catalog()) as catalog:
            return search.search(catalog, arguments)

    async def run_search(arguments: search.SearchArguments) -> search.SearchAnswer:
        return await asyncio.to_thread(search_catalog, arguments)

    return [
        McpTool(
            route.NAME, "Choose a text-to-image model", route.DESCRIPTION,
            route.RouteArguments, route.RoutedCall, run_route,
        ),
        McpTool(
            identify.NAME, "Identify a model by example images", identify.DESCRIPTION,
            identify.IdentifyArguments, identify.IdentifiedModels, run_identify,
        ),
        McpTool(
            search.NAME, "Search text-to-image models", search.DESCRIPTION,
            search.SearchArguments, search.SearchAnswer, run_search,
        ),
    ]  # fmt: skip


def server(tools: list[McpTool]) -> Server[Any]:
    """An MCP server with these tools, for any transport.

    Raises:
        MissingExtra: the MCP SDK is not installed.
    """
    _check_installed()
    from mcp import MCPError, types
    from mcp.server.lowlevel import Server

    by_name = {tool.name: tool for tool in tools}

    async def list_tools(_context: Any, _page: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.declaration() for tool in tools])

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool = by_name.get(params.name)
        if tool is None:
            message = f"there is no tool {params.name[:60]!r}: the tools are {', '.join(by_name)}"
            raise MCPError(types.INVALID_PARAMS, message)
        return await tool.call(params.arguments or {})

    return Server(
        "diffagent",
        version=version("diffagent"),
        title="DiffAgent",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve_stdio(served: Server[Any]) -> None:
    """Answer one client on stdin and stdout until it closes stdin; work under way is then dropped.

    While it serves, the transport keeps printed text off the wire. Text that Python still buffers would
    follow the last answer, so ``sys.stdout`` is stderr meanwhile.
    """
    from mcp.server.stdio import stdio_server

    async with stdio_server() as (reader, writer):
        with redirect_stdout(sys.stderr):
            await served.run(reader, writer, served.create_initialization_options())


def _check_installed() -> None:
    try:
        import mcp.server  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "diffagent mcp needs the MCP SDK, which is not installed: pip install 'diffagent[mcp]'"
        ) from None
