"""The tool inside LangChain: messages, errors, an agent's loop, chains."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.tools import ToolException
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field, ValidationError
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.agent.engines import Prompt
from diffagent.data.errors import BadInput, BadPrompt, UnknownModel
from diffagent.data.records import T2ICall
from diffagent.serving.tools.langchain import DiffAgentRunnable, DiffAgentTool
from diffagent.serving.tools.shared_agent import SharedAgent

FOX = {"prompt": "pixel art of a fox", "seed": 7}


class ScriptedChatModel(BaseChatModel):
    """A chat model that calls the tool with the scripted arguments in turn, then tells what came back."""

    script: list[dict[str, Any]]
    bound: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Runnable[Any, AIMessage]:
        self.bound = [tool.tool_call_schema.model_json_schema() for tool in tools]
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        turns = sum(isinstance(message, AIMessage) for message in messages)
        if turns < len(self.script):
            call = {"name": "route_prompt", "args": self.script[turns], "id": f"call-{turns}"}
            answer = AIMessage("", tool_calls=[call])
        else:
            answer = AIMessage(f"It says: {messages[-1].text}")
        return ChatResult(generations=[ChatGeneration(message=answer)])


def called(tool: DiffAgentTool, **arguments: Any) -> ToolMessage:
    message = tool.invoke({"name": tool.name, "args": arguments, "id": "1", "type": "tool_call"})
    assert isinstance(message, ToolMessage)
    return message


def test_the_content_is_the_call_and_the_artifact_what_led_to_it(agent: Agent) -> None:
    message = called(DiffAgentTool(agent=agent, k=3), **FOX, negative_prompt="blurry")
    call = T2ICall.parse(message.text)
    assert (call.model, call.seed, call.negative_prompt) == ("Tiny Pixels", 7, "blurry")
    assert (message.name, message.status) == ("route_prompt", "success")
    assert T2ICall.parse(message.artifact["call"]) == call
    assert message.artifact["candidates"][0]["model"] == "Tiny Pixels"
    assert len(message.artifact["candidates"]) == 3
    assert json.loads(json.dumps(message.artifact)) == message.artifact


def test_every_argument_reaches_the_agent(agent: Agent) -> None:
    tool = DiffAgentTool(agent=agent)
    call = json.loads(tool.invoke({"prompt": "pixel art of a fox", "model": "Ink Fox Style"}))
    assert (call["type"], call["loras"][0]["weight"]) == ("LoRA", 0.7)
    assert json.loads(tool.invoke({"prompt": "a fox", "type": "LoRA"}))["model"] == "Ink Fox Style"
    assert json.loads(tool.invoke({"prompt": "a fox", "base_model": "sdxl"}))["model"] == "Grand XL"
    assert json.loads(tool.invoke({"prompt": "oil painting", "commercial": True}))["model"] == "Tiny Pixels"
    assert json.loads(tool.invoke("an oil painting of a harbour"))["model"] == 'Oil "Masters" {v2}'


def test_with_a_target_the_content_is_its_request(agent: Agent) -> None:
    message = called(DiffAgentTool(agent=agent, target="a1111"), **FOX)
    request = json.loads(message.text)
    assert (request["sampler_name"], request["seed"]) == ("Euler a", 7)
    assert message.artifact["request"] == request
    assert T2ICall.parse(message.artifact["call"]).sampling_method == "Euler a"


def test_errors_are_the_agents_own_unless_they_are_to_be_handled(agent: Agent) -> None:
    with pytest.raises(UnknownModel, match="near: Tiny Pixels"):
        called(DiffAgentTool(agent=agent), prompt="a fox", model="Tiny Pixel")
    handled = called(DiffAgentTool(agent=agent, handle_tool_error=True), prompt="a fox", model="Tiny Pixel")
    assert handled.status == "error"
    assert "near: Tiny Pixels" in handled.text
    errors: list[ToolException] = []

    def handle(error: ToolException) -> str:
        errors.append(error)
        return "say it otherwise"

    message = called(DiffAgentTool(agent=agent, handle_tool_error=handle), prompt="  ")
    assert (message.text, message.status) == ("say it otherwise", "error")
    assert isinstance(errors[0].__cause__, BadPrompt)


async def test_errors_are_the_same_asynchronously(agent: Agent) -> None:
    with pytest.raises(BadPrompt, match="empty"):
        await DiffAgentTool(agent=agent).ainvoke({"prompt": " "})
    handled = DiffAgentTool(agent=agent, handle_tool_error=True)
    assert "the prompt is empty" in await handled.ainvoke({"prompt": " "})


def test_arguments_outside_the_schema_are_refused(agent: Agent) -> None:
    tool = DiffAgentTool(agent=agent)
    for wrong in ({"seed": -1}, {"type": "Hypernetwork"}, {"colour": "red"}):
        with pytest.raises(ValidationError):
            tool.invoke({"prompt": "a fox", **wrong})
    for option in ({"k": 0}, {"k": 53}, {"target": "dalle"}):
        with pytest.raises(BadInput, match=next(iter(option))):
            DiffAgentTool(**option)
    with pytest.raises(ValidationError):
        DiffAgentTool(agent="an agent")


def test_nothing_is_loaded_before_the_first_call() -> None:
    tool, other = DiffAgentTool(), DiffAgentTool()
    assert tool.agent is other.agent is DiffAgentRunnable().agent
    assert tool.args["prompt"]["description"]
    assert not SharedAgent.load("another.sqlite").is_loaded


@pytest.fixture
def loop(agent: Agent) -> Callable[..., Any]:
    """An agent of LangChain's that has the tool and a scripted model."""

    def make(*script: dict[str, Any], **options: Any) -> Any:
        model = ScriptedChatModel(script=list(script))
        tool = DiffAgentTool(agent=agent, **options)
        return create_agent(model, tools=[tool], checkpointer=InMemorySaver())

    return make


CONFIG: Any = {"configurable": {"thread_id": "1"}}
ASKED: Any = {"messages": [HumanMessage("Draw me a fox as pixel art")]}


def test_create_agent_calls_the_tool_and_keeps_the_artifact(loop: Callable[..., Any]) -> None:
    agent = loop(FOX, {**FOX, "base_model": "SDXL 1.0"})
    messages = agent.invoke(ASKED, CONFIG)["messages"]
    tools = [message for message in messages if isinstance(message, ToolMessage)]
    assert [T2ICall.parse(reply.text).model for reply in tools] == ["Tiny Pixels", "Grand XL"]
    assert messages[-1].text == f"It says: {tools[-1].text}"
    history = agent.get_state(CONFIG).values["messages"]  # through the checkpoint's serialisation
    assert history[2].artifact == tools[0].artifact


async def test_create_agent_works_asynchronously(loop: Callable[..., Any]) -> None:
    messages = (await loop(FOX).ainvoke(ASKED, CONFIG))["messages"]
    assert T2ICall.parse(messages[-1].text.removeprefix("It says: ")).model == "Tiny Pixels"


def test_in_create_agent_the_model_reads_what_was_wrong_and_asks_again(loop: Callable[..., Any]) -> None:
    script = ({"prompt": "a fox", "model": "Tiny Pixel"}, {"prompt": "a fox", "model": "Tiny Pixels"})
    messages = loop(*script, handle_tool_error=True).invoke(ASKED, CONFIG)["messages"]
    first, second = (message for message in messages if isinstance(message, ToolMessage))
    assert (first.status, second.status) == ("error", "success")
    assert "near: Tiny Pixels" in first.text


def test_the_model_is_told_every_argument(agent: Agent) -> None:
    model = ScriptedChatModel(script=[])
    create_agent(model, tools=[DiffAgentTool(agent=agent)]).invoke(ASKED)
    (schema,) = model.bound
    assert set(schema["properties"]) == set(Request.model_fields) - {"target_url"}
    assert schema["required"] == ["prompt"]


def step_of(agent: Agent) -> DiffAgentRunnable:
    return DiffAgentRunnable(agent=agent)


def test_a_chain_passes_on_text_templates_messages_and_arguments(agent: Agent) -> None:
    step = step_of(agent)
    chain = (
        PromptTemplate.from_template("pixel art of {what}") | step | RunnableLambda(lambda call: call.model)
    )
    assert chain.invoke({"what": "a fox"}) == "Tiny Pixels"
    chat = ChatPromptTemplate([("system", "an oil painting"), ("human", "{what}"), ("ai", "as you like")])
    assert (chat | step).invoke({"what": "pixel art"}).prompt == "pixel art"
    assert step.invoke(HumanMessage([{"type": "text", "text": "a fox"}])).prompt == "a fox"
    assert step.invoke([SystemMessage("photo of a mountain lake")]).model == "Grand XL"
    assert step.invoke({"prompt": "a fox", "seed": 3}).seed == 3
    with pytest.raises(BadInput, match="empty list"):
        step.invoke([])


def test_a_chain_binds_arguments_and_takes_batches(agent: Agent) -> None:
    bound = step_of(agent).bind(base_model="sdxl", seed=5)
    assert (bound.invoke("a fox").model, bound.invoke({"prompt": "a fox", "seed": 6}).seed) == ("Grand XL", 6)
    calls = step_of(agent).batch(["pixel art", "oil painting", "ink drawing of a fox"])
    assert [call.model for call in calls] == ["Tiny Pixels", 'Oil "Masters" {v2}', "Ink Fox Style"]


async def test_a_chain_works_asynchronously(agent: Agent) -> None:
    step = step_of(agent)
    assert [call.model for call in await step.abatch(["pixel art", "oil painting"])] == [
        "Tiny Pixels",
        'Oil "Masters" {v2}',
    ]
    with pytest.raises(BadPrompt):
        await step.ainvoke("")


async def test_a_tool_call_that_is_cancelled_in_line_is_never_begun(make_agent: Callable[..., Agent]) -> None:
    go = threading.Event()

    class Waiting(RuleEngine):
        def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
            assert go.wait(10)
            return super().choose(prompt, options, draft)

    engine = Waiting()
    tool = DiffAgentTool(agent=make_agent(engine))
    tasks = [asyncio.create_task(tool.ainvoke({"prompt": f"pixel art {n}"})) for n in range(12)]
    await asyncio.sleep(0.05)
    for task in tasks[1:11]:
        task.cancel()
    await asyncio.wait(tasks[1:11])
    go.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [False, *[True] * 10, False]
    assert [prompt.earlier[0][0].splitlines()[-1] for prompt in engine.asked] == [
        "Prompt: pixel art 0",
        "Prompt: pixel art 11",
    ]


WITHOUT = """
import sys
sys.modules["langchain_core"] = None
try:
    import diffagent.serving.tools.langchain
except Exception as error:
    print(type(error).__name__, error)
"""


def test_without_the_extra_the_install_line_is_said() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "MissingExtra diffagent.serving.tools.langchain needs langchain-core, which is not installed: "
        "pip install 'diffagent[langchain]'\n"
    )
