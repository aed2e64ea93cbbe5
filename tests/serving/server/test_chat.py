"""Chat completions and models, asked by the official client over a loopback port."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from image_servers import picture
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageFunctionToolCall
from server_runs import HeldEngine, Serve
from stand_ins import RuleEngine

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.data.records import T2ICall

MODEL = "diffagent"
TOOL: Any = {
    "type": "function",
    "function": {"name": "text_to_image", "parameters": {"type": "object", "properties": {}}},
}
OTHER = {"type": "function", "function": {"name": "x"}}
ADDRESS = {"type": "image_url", "image_url": {"url": "http://a.example/b.png"}}


@pytest.fixture
def official(client: httpx.Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def user(text: Any) -> Any:
    return {"role": "user", "content": text}


def talk(official: openai.OpenAI, *texts: str, **options: Any) -> list[T2ICall]:
    """The call after each of a user's messages, the assistant's answers between them."""
    messages: list[Any] = [{"role": "system", "content": "You are an SDXL expert. Draw portraits."}]
    calls = []
    for text in texts:
        messages.append(user(text))
        answer = (
            official.chat.completions.create(model=MODEL, messages=messages, **options).choices[0].message
        )
        calls.append(T2ICall.parse(answer.content or ""))
        messages.append({"role": "assistant", "content": answer.content})
    return calls


def test_the_models_are_one(official: openai.OpenAI) -> None:
    assert [model.id for model in official.models.list()] == [MODEL]
    assert official.models.retrieve(MODEL).owned_by == MODEL
    with pytest.raises(openai.NotFoundError, match="the model is diffagent"):
        official.models.retrieve("gpt-9")


def test_the_answer_says_why_beside_the_call(official: openai.OpenAI, agent: Agent) -> None:
    answer = official.chat.completions.create(model=MODEL, messages=[user("pixel art of a fox")])
    decision = agent.decide(Request.from_prompt("pixel art of a fox"))
    assert (answer.model_extra or {})["reasons"] == list(decision.reasons) != []


def test_the_content_is_the_call(official: openai.OpenAI, agent: Agent) -> None:
    answer = official.chat.completions.create(model=MODEL, messages=[user("pixel art of a fox")])
    choice = answer.choices[0]
    assert T2ICall.parse(choice.message.content or "") == agent.call("pixel art of a fox")
    assert (choice.finish_reason, choice.message.role, answer.model) == ("stop", "assistant", MODEL)
    assert choice.message.tool_calls is None


@pytest.mark.parametrize("tools", [None, [TOOL]])
def test_a_stream_adds_up_to_the_answer(official: openai.OpenAI, agent: Agent, tools: Any) -> None:
    options: Any = {"tools": tools} if tools else {}
    stream = official.chat.completions.create(
        model=MODEL, messages=[user("pixel art of a fox")], stream=True, **options
    )
    deltas = [chunk.choices[0] for chunk in stream]
    assert len(deltas) > 5
    assert deltas[0].delta.role == "assistant"
    assert [choice.finish_reason for choice in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish_reason == ("tool_calls" if tools else "stop")
    if tools:
        calls = [call for choice in deltas for call in choice.delta.tool_calls or ()]
        assert calls[0].function
        assert calls[0].function.name == "text_to_image"
        text = "".join(call.function.arguments or "" for call in calls if call.function)
    else:
        text = "".join(choice.delta.content or "" for choice in deltas)
    assert T2ICall.parse(text) == agent.call("pixel art of a fox")


def test_the_clients_own_stream_helper_agrees(official: openai.OpenAI) -> None:
    with official.chat.completions.stream(model=MODEL, messages=[user("a lake")]) as stream:
        final = stream.get_final_completion()
    assert T2ICall.parse(final.choices[0].message.content or "").prompt == "a lake"


def test_usage_is_stated_where_the_engine_counts(make_agent: Callable[..., Agent], serve: Serve) -> None:
    engine = HeldEngine()
    engine.gate.set()
    with serve(make_agent(engine)) as client:
        url = f"{client.base_url}/v1"
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as official:
            messages: Any = [user("a small lake")]
            usage = official.chat.completions.create(model=MODEL, messages=messages).usage
            assert usage is not None
            assert usage.prompt_tokens == 3
            assert usage.total_tokens == 3 + usage.completion_tokens
            plain = list(official.chat.completions.create(model=MODEL, messages=messages, stream=True))
            assert all(chunk.usage is None for chunk in plain)
            options: Any = {"stream": True, "stream_options": {"include_usage": True}}
            *_, last = official.chat.completions.create(model=MODEL, messages=messages, **options)
            assert (last.choices, last.usage) == ([], usage)
        assert 'diffagent_tokens_total{kind="prompt"} 9.0' in client.get("/metrics").text


def test_edits_change_the_last_call(official: openai.OpenAI) -> None:
    first, wide, stepped, reseeded = talk(
        official, "pixel art of a fox, seed 5", "make it landscape", "30 steps", "another seed"
    )
    assert wide.width > wide.height
    assert wide == first.model_copy(update={"width": wide.width, "height": wide.height})
    assert stepped == wide.model_copy(update={"sampling_steps": 30})
    assert reseeded == stepped.model_copy(update={"seed": reseeded.seed})
    assert reseeded.seed != 5


def test_another_base_model_or_model_is_routed_with_what_was_said_before(official: openai.OpenAI) -> None:
    first, stepped, xl, ink, hat = talk(
        official,
        "pixel art of a fox, seed 9",
        "33 steps please",
        "use SDXL instead",
        "use Ink Fox Style",
        "add a red hat",
    )
    assert (first.base_model, xl.base_model, xl.model) == ("SD 1.5", "SDXL 1.0", "Grand XL")
    assert (xl.sampling_steps, xl.seed, xl.prompt) == (33, 9, "pixel art of a fox")
    assert (ink.model, ink.sampling_steps) == ("Ink Fox Style", 33)
    assert ink.prompt.startswith("inkfox, ")
    assert hat == ink.model_copy(update={"prompt": f"{ink.prompt}, a red hat"})
    assert stepped.model == first.model


def test_a_new_prompt_begins_anew(official: openai.OpenAI, agent: Agent) -> None:
    _, wide, other = talk(official, "pixel art of a fox", "make it landscape", "an oil painting of a harbour")
    assert other == agent.call("an oil painting of a harbour")
    assert wide.width != other.width or wide.model != other.model


@pytest.mark.parametrize(
    "answer",
    ["I like foxes.", '{"model": "Gone"}', "{", None, '{"a":' * 2000 + "1" + "}" * 2000],
    ids=["words", "no call", "cut off", "none", "deep"],
)
def test_without_a_call_before_the_prompt_and_its_edits_are_decided(
    official: openai.OpenAI, agent: Agent, answer: str | None
) -> None:
    messages: Any = [user("pixel art of a fox"), {"role": "assistant", "content": answer}, user("31 steps")]
    completion = official.chat.completions.create(model=MODEL, messages=messages)
    expected = agent.call("pixel art of a fox").model_copy(update={"sampling_steps": 31})
    assert T2ICall.parse(completion.choices[0].message.content or "") == expected


def test_a_call_of_a_model_that_the_catalog_lacks_is_not_changed_but_decided(
    official: openai.OpenAI, agent: Agent
) -> None:
    invented = agent.call("pixel art of a fox").model_copy(update={"model": "Made Up"})
    messages: Any = [user("a fox"), {"role": "assistant", "content": invented.to_json()}, user("31 steps")]
    completion = official.chat.completions.create(model=MODEL, messages=messages)
    assert T2ICall.parse(completion.choices[0].message.content or "").model in {
        card.name for card in agent.prefilter.cards
    }


def called_in(message: ChatCompletionMessage) -> ChatCompletionMessageFunctionToolCall:
    (called,) = message.tool_calls or []
    assert isinstance(called, ChatCompletionMessageFunctionToolCall)
    assert called.type == "function"
    return called


def test_a_tool_is_called_and_its_result_ends_the_turn(official: openai.OpenAI, agent: Agent) -> None:
    messages: list[Any] = [user("pixel art of a fox")]
    answer = official.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    called = called_in(choice.message)
    call = T2ICall.parse(called.function.arguments)
    assert call == agent.call("pixel art of a fox")
    messages += [choice.message, {"role": "tool", "tool_call_id": called.id, "content": "made fox.png"}]
    ended = official.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL]).choices[0]
    assert (ended.finish_reason, T2ICall.parse(ended.message.content or "")) == ("stop", call)
    messages += [ended.message, user("make it landscape")]
    wide = official.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL]).choices[0]
    again = called_in(wide.message)
    changed = T2ICall.parse(again.function.arguments)
    assert changed.width > changed.height
    assert changed.model == call.model


def test_arguments_are_those_that_the_tools_schema_names(official: openai.OpenAI) -> None:
    names = {"prompt": {"type": "string"}, "width": {"type": "integer"}, "lens": {"type": "string"}}
    tool: Any = {
        "type": "function",
        "function": {"name": "text_to_image", "parameters": {"type": "object", "properties": names}},
    }
    options: Any = {"tools": [tool], "tool_choice": "required"}
    answer = official.chat.completions.create(model=MODEL, messages=[user("a lake")], **options)
    called = called_in(answer.choices[0].message)
    assert sorted(json.loads(called.function.arguments)) == ["prompt", "width"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "draw"}]}, "no message of the user"),
        ({"messages": [user("")]}, "the prompt is empty"),
        ({"messages": [user("a fox"), user("900 steps")]}, "changes nothing"),
        ({"messages": [user([ADDRESS])]}, "none is fetched"),
        ({"messages": [user("a fox")], "n": 2}, "n"),
        ({"messages": [user("a fox")], "seed": -1}, "seed"),
        ({"messages": [user("a fox")], "tool_choice": "required"}, "no function text_to_image"),
        ({"messages": [user("a fox")], "tool_choice": OTHER}, "'x'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(official: openai.OpenAI, options: Any, says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        official.chat.completions.create(model=MODEL, **options)


def test_an_unknown_model_is_not_found(official: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="'gpt-9'"):
        official.chat.completions.create(model="gpt-9", messages=[user("a fox")])


def test_images_of_a_message_reach_the_agent(make_agent: Callable[..., Agent], serve: Serve) -> None:
    requests: list[Any] = []

    class Looks(Agent):
        def decide(self, request: Request) -> Any:
            requests.append((request.prompt, request.images))
            return super().decide(request.model_copy(update={"images": ()}))

    plain = make_agent(RuleEngine())
    looks = Looks(plain.catalog, plain.prefilter, plain.engine, plain.fusion)
    url = "data:image/png;base64," + base64.b64encode(picture(7)).decode()
    parts = [{"type": "text", "text": "like this"}, {"type": "image_url", "image_url": {"url": url}}]
    with serve(looks) as client:
        body = {"model": MODEL, "messages": [user(parts)]}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
    assert requests == [("like this", (picture(7),))]
