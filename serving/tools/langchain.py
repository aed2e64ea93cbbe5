"""LangChain: the agent as a tool for chat models, and as a step of a chain.

    create_agent(model, tools=[DiffAgentTool()])    # a ToolMessage: the call, and what led to it as artifact
    chain = prompt | DiffAgentRunnable() | send     # a prompt → a T2ICall

All that are made without an ``agent`` share the process's one, which is loaded at the first call.
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
from diffagent.serving.tools.route import DESCRIPTION, NAME, RouteArguments, Routed, route
from diffagent.serving.tools.shared_agent import SharedAgent
from diffagent.serving.wording import told

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

Said = str | PromptValue | BaseMessage | Sequence[BaseMessage] | Mapping[str, Any]
"""What a chain may pass on: text, a filled-in template, messages (the last human one counts), or the
arguments of :class:`~diffagent.serving.tools.route.RouteArguments` by name."""


_DEFAULTS = {name: field.get_default() for name, field in RouteArguments.model_fields.items()}
"""LangChain passes an argument's default where the model said nothing."""


def _shared(given: Any) -> Any:
    return SharedAgent.of(given) if isinstance(given, Agent) else given


Served = Annotated[SharedAgent, BeforeValidator(_shared)]
"""An :class:`~diffagent.agent.agent.Agent` of your own, or a :class:`SharedAgent` that is yet to load."""


class DiffAgentTool(BaseTool):
    """A prompt → one callable text-to-image API call.

    The message's content is the call as JSON, or with ``target`` the request that this API takes; its
    artifact is a dict ``{"call", "request", "not_carried", "n", "notes", "reasons", "candidates",
    "timings_ms"}``. A
    :class:`~diffagent.data.errors.DiffAgentError` is raised as it is, or where ``handle_tool_error`` is set
    as a ``ToolException``, which LangChain then shows the model.
    """

    name: str = NAME
    description: str = DESCRIPTION
    args_schema: ArgsSchema | None = RouteArguments
    response_format: Literal["content", "content_and_artifact"] = "content_and_artifact"
    agent: Served = Field(default_factory=SharedAgent.load, exclude=True, repr=False)
    options: Mapping[str, Any] = Field(default_factory=dict)
    """Options of a request that hold for every call, given by name: ``DiffAgentTool(target="a1111", k=8)``.
    What the model says goes before them."""

    def __init__(self, **given: Any) -> None:
        options = {name: given.pop(name) for name in Request.model_fields if name in given}
        Request.from_prompt("any", **options)  # a wrong option is an error now, not at the first call
        super().__init__(**given, options=options)

    def _run(self, prompt: str, **options: Any) -> tuple[str, dict[str, Any]]:
        try:
            return self._shown(self.agent.run(lambda agent: self._route(agent, prompt, options)))
        except DiffAgentError as error:
            raise self._raised(error) from error

    async def _arun(self, prompt: str, **options: Any) -> tuple[str, dict[str, Any]]:
        try:
            return self._shown(await self.agent.arun(lambda agent: self._route(agent, prompt, options)))
        except DiffAgentError as error:
            raise self._raised(error) from error

    def _route(self, agent: Agent, prompt: str, options: Mapping[str, Any]) -> Routed:
        said = {name: value for name, value in options.items() if value != _DEFAULTS[name]}
        return route(agent, {**self.options, **said, "prompt": prompt})

    def _shown(self, routed: Routed) -> tuple[str, dict[str, Any]]:
        artifact = routed.model_dump(mode="json")
        content = artifact["call"] if routed.request is None else routed.request
        return json.dumps(content, ensure_ascii=False), artifact

    def _raised(self, error: DiffAgentError) -> Exception:
        return ToolException(told(error)) if self.handle_tool_error else error


class DiffAgentRunnable(RunnableSerializable[Said, T2ICall]):
    """A step of a chain: a prompt → a T2I call.

    ``bind(base_model="SDXL 1.0", seed=7)`` fixes arguments; they are the fields of
    :class:`~diffagent.agent.asking.request.Request`. It raises the errors of
    :meth:`diffagent.agent.agent.Agent.decide`.
    """

    name: str | None = "diffagent"
    agent: Served = Field(default_factory=SharedAgent.load, exclude=True, repr=False)

    model_config = ConfigDict(arbitrary_types_allowed=True)

    def invoke(self, input: Said, config: RunnableConfig | None = None, **options: Any) -> T2ICall:
        def call(said: Said) -> T2ICall:
            return self.agent.run(lambda agent: agent.call(**_asked(said, options)))

        return self._call_with_config(call, input, config, run_type="tool")

    async def ainvoke(self, input: Said, config: RunnableConfig | None = None, **options: Any) -> T2ICall:
        async def call(said: Said) -> T2ICall:
            return await self.agent.arun(lambda agent: agent.call(**_asked(said, options)))

        return await self._acall_with_config(call, input, config, run_type="tool")


def _asked(said: Said, options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call; what the chain passes on by name goes before what is bound."""
    if isinstance(said, Mapping):
        return {**options, **RouteArguments.model_validate(said).options()}
    return {**options, "prompt": _text(said)}


def _text(said: str | PromptValue | BaseMessage | Sequence[BaseMessage]) -> str:
    """What is asked for, in words; of several messages the last human one.

    Raises:
        BadInput: there is no message.
    """
    if isinstance(said, str):
        return said
    messages = said.to_messages() if isinstance(said, PromptValue) else said
    if isinstance(messages, BaseMessage):
        return messages.text
    if not messages:
        raise BadInput("an empty list of messages was given: end it with what to draw")
    human = (message for message in reversed(messages) if isinstance(message, HumanMessage))
    return next(human, messages[-1]).text
