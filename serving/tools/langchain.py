"""LangChain: the agent as a tool for chat models, and as a step of a chain.

    create_agent(model, tools=[DiffAgentTool()])    # a ToolMessage: the call, and its reasons as artifact
    chain = prompt | DiffAgentRunnable() | send     # a prompt → a T2ICall

Tools and steps without an ``agent`` share the process's agent, which is loaded at the first call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.data.errors import BadInput, DiffAgentError, MissingExtra
from diffagent.data.records import T2ICall
from diffagent.serving.tools.route import DESCRIPTION, NAME, RouteArguments, RoutedCall, route
from diffagent.serving.tools.shared_agent import SharedAgent
from diffagent.serving.wording import argument_line

try:
    from langchain_core.messages import BaseMessage, HumanMessage
    from langchain_core.prompt_values import PromptValue
    from langchain_core.runnables import RunnableConfig, RunnableSerializable
    from langchain_core.tools import BaseTool, ToolException
    from langchain_core.tools.base import ArgsSchema
except ImportError:
    raise MissingExtra(
        "diffagent.serving.tools.langchain needs langchain-core, which is not installed: "
        "pip install 'diffagent[langchain]'"
    ) from None

ChainInput = str | PromptValue | BaseMessage | Sequence[BaseMessage] | Mapping[str, Any]
"""The input of a step: text, a filled-in template, messages (the last human one counts), or the arguments of
:class:`~diffagent.serving.tools.route.RouteArguments` by name."""
_DEFAULTS = {name: field.get_default() for name, field in RouteArguments.model_fields.items()}
"""LangChain passes the default of an argument that the model leaves out."""


def _shared_agent(agent: Any) -> Any:
    return SharedAgent.of(agent) if isinstance(agent, Agent) else agent


AgentField = Annotated[SharedAgent, BeforeValidator(_shared_agent)]
"""An :class:`~diffagent.agent.agent.Agent`, or a :class:`SharedAgent` that may still have to load."""


class DiffAgentTool(BaseTool):
    """A prompt → one callable text-to-image API call.

    The message's content is the call as JSON, or with ``target`` the request of that API; its artifact is a
    dict ``{"call", "request", "not_carried", "n", "notes", "reasons", "candidates", "timings_ms"}``. A
    :class:`~diffagent.data.errors.DiffAgentError` is raised unchanged; if ``handle_tool_error`` is set, it is
    raised as a ``ToolException``, which LangChain shows the model.
    """

    name: str = NAME
    description: str = DESCRIPTION
    args_schema: ArgsSchema | None = RouteArguments
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    agent: AgentField = Field(default_factory=SharedAgent.load, exclude=True, repr=False)
    options: Mapping[str, Any] = Field(default_factory=dict)
    """Options of every call by name: ``DiffAgentTool(target="a1111", k=8)``. Arguments of the model override
    them."""

    def __init__(self, **fields: Any) -> None:
        options = {name: fields.pop(name) for name in Request.model_fields if name in fields}
        Request.from_prompt("any", **options)  # a wrong option is an error now, not at the first call
        super().__init__(**fields, options=options)

    def _run(self, prompt: str, **options: Any) -> tuple[str, dict[str, Any]]:
        try:
            return self._content(self.agent.run(lambda agent: self._route(agent, prompt, options)))
        except DiffAgentError as error:
            raise self._exception(error) from error

    async def _arun(self, prompt: str, **options: Any) -> tuple[str, dict[str, Any]]:
        try:
            return self._content(await self.agent.arun(lambda agent: self._route(agent, prompt, options)))
        except DiffAgentError as error:
            raise self._exception(error) from error

    def _route(self, agent: Agent, prompt: str, options: Mapping[str, Any]) -> RoutedCall:
        given_options = {name: value for name, value in options.items() if value != _DEFAULTS[name]}
        return route(agent, {**self.options, **given_options, "prompt": prompt})

    def _content(self, routed_call: RoutedCall) -> tuple[str, dict[str, Any]]:
        artifact = routed_call.model_dump(mode="json")
        content = artifact["call"] if routed_call.request is None else routed_call.request
        return json.dumps(content, ensure_ascii=False), artifact

    def _exception(self, error: DiffAgentError) -> Exception:
        return ToolException(argument_line(error)) if self.handle_tool_error else error


class DiffAgentRunnable(RunnableSerializable[ChainInput, T2ICall]):
    """A step of a chain: a prompt → a T2I call.

    ``bind(base_model="SDXL 1.0", seed=7)`` fixes arguments, which are the fields of
    :class:`~diffagent.agent.asking.request.Request`. Errors are those of
    :meth:`diffagent.agent.agent.Agent.decide`.
    """

    name: str | None = "diffagent"
    agent: AgentField = Field(default_factory=SharedAgent.load, exclude=True, repr=False)

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def __init__(self, *, agent: Agent | SharedAgent | None = None, **fields: Any) -> None:
        super().__init__(**fields if agent is None else {**fields, "agent": agent})

    def invoke(self, input: ChainInput, config: RunnableConfig | None = None, **options: Any) -> T2ICall:
        def call(chain_input: ChainInput) -> T2ICall:
            return self.agent.run(lambda agent: agent.call(**_call_options(chain_input, options)))

        return self._call_with_config(call, input, config, run_type="tool")

    async def ainvoke(
        self, input: ChainInput, config: RunnableConfig | None = None, **options: Any
    ) -> T2ICall:
        async def call(chain_input: ChainInput) -> T2ICall:
            return await self.agent.arun(lambda agent: agent.call(**_call_options(chain_input, options)))

        return await self._acall_with_config(call, input, config, run_type="tool")


def _call_options(chain_input: ChainInput, options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call; arguments that the chain passes on override those that are bound."""
    if isinstance(chain_input, Mapping):
        return {**options, **RouteArguments.model_validate(chain_input).options()}
    return {**options, "prompt": _text(chain_input)}


def _text(chain_input: str | PromptValue | BaseMessage | Sequence[BaseMessage]) -> str:
    """The prompt as text; of several messages, the last human one.

    Raises:
        BadInput: there is no message.
    """
    if isinstance(chain_input, str):
        return chain_input
    messages = chain_input.to_messages() if isinstance(chain_input, PromptValue) else chain_input
    if isinstance(messages, BaseMessage):
        return messages.text
    if not messages:
        raise BadInput("an empty list of messages was given: end it with what to draw")
    human = (message for message in reversed(messages) if isinstance(message, HumanMessage))
    return next(human, messages[-1]).text
