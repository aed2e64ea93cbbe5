"""Chat completions: a conversation → what to decide or to change → OpenAI's answer, whole or in chunks.

The last message is a prompt, or an edit of the previous call (:mod:`diffagent.agent.asking.edits`). That call
is read from the assistant's last answer; if it is not callable, the prompt with all its edits is decided
anew. System messages are ignored: they instruct a chat model and do not describe an image.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from diffagent.agent.asking.edits import Edit, Find, edit, with_edit
from diffagent.agent.asking.request import Request
from diffagent.data.errors import BadInput, BadPrompt
from diffagent.data.prompts import join_parts
from diffagent.data.records import T2ICall
from diffagent.serving.json_bounds import JsonBounds
from diffagent.serving.server.schemas import AllowedChoice, ChatRequest, ChatTool, Message, NamedTool

TOOL = "text_to_image"
MODEL = "diffagent"
CALL = JsonBounds(values=500, depth=8)
"""Bounds of a call in a message's text."""
Json = dict[str, Any]


@dataclass(frozen=True)
class ChatPlan:
    """The work for a conversation: ``request`` is decided unless None, then ``edit`` changes the call.

    ``previous`` is the previous call; its seed is kept if the model is chosen again and the request has no
    seed.
    """

    request: Request | None
    edit: Edit = field(default_factory=Edit)
    previous: T2ICall | None = None

    def finish(self, decided: T2ICall | None) -> T2ICall:
        """The call, from the decided or the previous one."""
        if decided is None:
            assert self.previous is not None
            return with_edit(self.previous, self.edit)
        seed = self.previous.seed if self.previous else None
        if seed is not None and self.request is not None and self.request.seed is None:
            decided = decided.model_copy(update={"seed": seed})
        return with_edit(decided, self.edit)


def plan(messages: Sequence[Message], find: Find, seed: int | None = None) -> ChatPlan:
    """The work for a conversation.

    Args:
        messages: the conversation; the last message is the user's.
        find: the card of a name or AIR.
        seed: the seed of the request's body.

    Raises:
        BadPrompt: there is no message of the user. BadInput: the last message is an edit without a call.
    """
    texts = [text_of(message) for message in messages if message.role == "user"]
    if not texts:
        raise BadPrompt('there is no message of the user: send {"role": "user", "content": "what to draw"}')
    prompt, edits = _fold(texts, find)
    previous = last_call(messages, find)
    if edits and previous is not None and not edits[-1].routes:
        change = edits[-1]
        if seed is not None:
            change = replace(change, settings=replace(change.settings, seed=seed), new_seed=False)
        return ChatPlan(None, change, previous)
    total = sum(edits, Edit())
    settings = total.settings
    request = Request.parse(
        {
            "prompt": join_parts([prompt, *total.words]),
            "negative_prompt": join_parts(total.avoid),
            "base_model": settings.base_model,
            "type": settings.type,
            "model": total.model,
            "seed": seed,
        }
    )
    if seed is not None:
        settings = replace(settings, seed=None)
    new_seed = edits[-1].new_seed if edits and previous else total.new_seed
    change = replace(total, settings=settings, words=(), avoid=(), new_seed=new_seed and seed is None)
    return ChatPlan(request, change, previous if edits else None)


def _fold(texts: Sequence[str], find: Find) -> tuple[str, list[Edit]]:
    """The last message that is a prompt, and the edits after it."""
    edits: list[Edit] = []
    for number in range(len(texts) - 1, 0, -1):
        try:
            change = edit(texts[number], find)
        except BadPrompt:
            if number == len(texts) - 1:
                raise
            continue
        if change is None:
            return texts[number], edits
        edits.insert(0, change)
    return texts[0], edits


def text_of(message: Message) -> str:
    """A message's text, one line for each part."""
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    return "\n".join(part.text for part in message.content if part.text is not None)


def images_of(messages: Sequence[Message]) -> list[str]:
    """The data URLs of the user's last message."""
    last = next((message for message in reversed(messages) if message.role == "user"), None)
    if last is None or not isinstance(last.content, list):
        return []
    return [part.image_url.url for part in last.content if part.image_url is not None]


def last_call(messages: Sequence[Message], find: Find) -> T2ICall | None:
    """The last call in the assistant's messages whose models the catalog has."""
    for message in reversed(messages):
        if message.role != "assistant":
            continue
        texts = [text_of(message)]
        texts += [
            tool_call.function.arguments
            for tool_call in message.tool_calls or ()
            if tool_call.function.name == TOOL
        ]
        for text in texts:
            call = _callable_call(text, find)
            if call is not None:
                return call
    return None


def _callable_call(text: str, find: Find) -> T2ICall | None:
    start, end = text.find("{"), text.rfind("}")
    if not 0 <= start < end:
        return None
    try:
        CALL.check(text[start : end + 1].encode("utf-8", "replace"))
        call = T2ICall.parse(text[start : end + 1])
    except BadInput:
        return None
    card = find(call.air)
    is_same = card is not None and (card.name, card.type, card.base_model) == (
        call.model,
        call.type,
        call.base_model,
    )
    airs = [lora.air for lora in call.loras] + ([call.base_checkpoint] if call.base_checkpoint else [])
    return call if is_same and all(find(air) is not None for air in airs) else None


def tool_of(request: ChatRequest) -> ChatTool | None:
    """The tool ``text_to_image``, if the request offers it and allows a call.

    A conversation that ends with a tool's result is answered in text, or it would never end.

    Raises:
        BadInput: the request requires another tool.
    """
    choice = request.tool_choice
    if isinstance(choice, AllowedChoice):
        names = [tool.function.name for tool in choice.allowed_tools.tools if tool.function]
        choice = choice.allowed_tools.mode if TOOL in names else "none"
    if isinstance(choice, NamedTool) and choice.function.name != TOOL:
        raise BadInput(f"tool_choice names {choice.function.name[:60]!r}, but this model calls {TOOL} only")
    tool = next((tool for tool in request.tools or () if tool.function and tool.function.name == TOOL), None)
    if tool is None and (choice == "required" or isinstance(choice, NamedTool)):
        raise BadInput(f"tool_choice asks for a call, but tools has no function {TOOL}")
    if choice == "none" or request.messages[-1].role in ("tool", "function"):
        return None
    return tool


def tool_arguments(call: T2ICall, tool: ChatTool) -> str:
    """The call as a tool's arguments: the fields of the tool's schema, or all if it has none of them."""
    fields = call.model_dump()
    properties = ((tool.function.parameters if tool.function else None) or {}).get("properties")
    if isinstance(properties, dict) and fields.keys() & properties.keys():
        fields = {name: value for name, value in fields.items() if name in properties}
    return json.dumps(fields, ensure_ascii=False)


def message_of(call: T2ICall, tool: ChatTool | None, request_id: str) -> tuple[Json, str]:
    """The assistant's message and its finish reason."""
    if tool is None:
        return {"role": "assistant", "content": call.to_json(), "refusal": None}, "stop"
    function = {"name": TOOL, "arguments": tool_arguments(call, tool)}
    calls = [{"id": f"call_{request_id}", "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}, "tool_calls"


def completion(message: Json, finish_reason: str, request_id: str, usage: Json | None) -> Json:
    """The answer as one object."""
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
    body = _head(request_id, "chat.completion") | {"choices": [choice]}
    return body | ({"usage": usage} if usage else {})


def chunks(message: Json, finish_reason: str, request_id: str, usage: Json | None) -> Iterator[str]:
    """The answer as server-sent events: role, pieces, finish reason, and the usage if requested."""
    head = _head(request_id, "chat.completion.chunk")
    for delta in _deltas(message):
        yield _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}]})
    if usage:
        yield _event(head | {"choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


def _deltas(message: Json) -> Iterator[Json]:
    if message["content"] is not None:
        yield {"role": "assistant", "content": ""}
        for line in message["content"].splitlines(keepends=True):
            yield {"content": line}
        return
    (call,) = message["tool_calls"]
    opening = {"index": 0, **call, "function": {"name": TOOL, "arguments": ""}}
    yield {"role": "assistant", "content": None, "tool_calls": [opening]}
    arguments = call["function"]["arguments"]
    for start in range(0, len(arguments), 64):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": arguments[start : start + 64]}}]}


def _head(request_id: str, kind: str) -> Json:
    return {"id": f"chatcmpl-{request_id}", "object": kind, "created": int(time.time()), "model": MODEL}


def _event(value: Json) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
