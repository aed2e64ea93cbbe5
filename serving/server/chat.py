"""Chat completions: a conversation → what to decide or to change → OpenAI's answer, whole or in chunks.

The last message is a prompt, or an edit of the call before it (:mod:`diffagent.agent.asking.edits`). The call
is read from the assistant's last answer; where that is not callable, the prompt and all its edits are decided
anew. System messages are not read: they instruct a chat model, and say nothing of an image.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from diffagent.agent.asking.edits import Edit, Find, edit, join_parts, with_edit
from diffagent.agent.asking.request import Request
from diffagent.data.errors import BadInput, BadPrompt
from diffagent.data.records import T2ICall
from diffagent.serving.json_bounds import JsonBounds
from diffagent.serving.server.schemas import AllowedChoice, ChatRequest, Message, NamedTool, Tool

TOOL = "text_to_image"
MODEL = "diffagent"
CALL = JsonBounds(values=500, depth=8)
"""What a call may hold, which is JSON within a text of JSON."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What a conversation asks for: ``wanted`` is decided unless None, ``edit`` then changes the call.

    ``previous`` is the call before; its seed stays where the model is chosen again and the request has none.
    """

    wanted: Request | None
    edit: Edit = field(default_factory=Edit)
    previous: T2ICall | None = None

    def finished(self, decided: T2ICall | None) -> T2ICall:
        """The call, from the decided one or from the one before."""
        if decided is None:
            assert self.previous is not None
            return with_edit(self.previous, self.edit)
        kept = self.previous.seed if self.previous else None
        if kept is not None and self.wanted is not None and self.wanted.seed is None:
            decided = decided.model_copy(update={"seed": kept})
        return with_edit(decided, self.edit)


def plan(messages: Sequence[Message], find: Find, seed: int | None = None) -> Plan:
    """What to do for a conversation.

    Args:
        messages: the conversation, the last one the user's.
        find: the card of a name or AIR.
        seed: the request's own.

    Raises:
        BadPrompt: there is no user's message. BadInput: the last message is an edit of nothing.
    """
    said = [text_of(message) for message in messages if message.role == "user"]
    if not said:
        raise BadPrompt('there is no message of the user: send {"role": "user", "content": "what to draw"}')
    prompt, edits = _folded(said, find)
    previous = last_call(messages, find)
    if edits and previous is not None and not edits[-1].routes:
        change = edits[-1]
        if seed is not None:
            change = replace(change, settings=replace(change.settings, seed=seed), new_seed=False)
        return Plan(None, change, previous)
    total = sum(edits, Edit())
    settings = total.settings
    wanted = Request.parse(
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
    return Plan(wanted, change, previous if edits else None)


def _folded(said: Sequence[str], find: Find) -> tuple[str, list[Edit]]:
    """The last message that is a prompt, and the edits after it."""
    edits: list[Edit] = []
    for number in range(len(said) - 1, 0, -1):
        try:
            change = edit(said[number], find)
        except BadPrompt:
            if number == len(said) - 1:
                raise
            continue
        if change is None:
            return said[number], edits
        edits.insert(0, change)
    return said[0], edits


def text_of(message: Message) -> str:
    """A message's text, its parts one a line."""
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    return "\n".join(part.text for part in message.content if part.text is not None)


def images_of(messages: Sequence[Message]) -> list[str]:
    """The data URLs of the user's last message."""
    last = next((one for one in reversed(messages) if one.role == "user"), None)
    if last is None or not isinstance(last.content, list):
        return []
    return [part.image_url.url for part in last.content if part.image_url is not None]


def last_call(messages: Sequence[Message], find: Find) -> T2ICall | None:
    """The call in the assistant's last message that holds one, if the catalog has its model."""
    for message in reversed(messages):
        if message.role != "assistant":
            continue
        texts = [text_of(message)]
        texts += [one.function.arguments for one in message.tool_calls or () if one.function.name == TOOL]
        for text in texts:
            call = _callable(text, find)
            if call is not None:
                return call
    return None


def _callable(text: str, find: Find) -> T2ICall | None:
    start, end = text.find("{"), text.rfind("}")
    if not 0 <= start < end:
        return None
    try:
        CALL.check(text[start : end + 1].encode("utf-8", "replace"))
        call = T2ICall.parse(text[start : end + 1])
    except BadInput:
        return None
    card = find(call.air)
    same = card is not None and (card.name, card.type, card.base_model) == (
        call.model,
        call.type,
        call.base_model,
    )
    others = [lora.air for lora in call.loras] + ([call.base_checkpoint] if call.base_checkpoint else [])
    return call if same and all(find(air) is not None for air in others) else None


def tool_of(request: ChatRequest) -> Tool | None:
    """The tool to call, if the request offers ``text_to_image`` and lets it be called.

    A conversation that ends with a tool's result is answered in text, or it would never end.

    Raises:
        BadInput: another tool has to be called.
    """
    choice = request.tool_choice
    if isinstance(choice, AllowedChoice):
        names = [one.function.name for one in choice.allowed_tools.tools if one.function]
        choice = choice.allowed_tools.mode if TOOL in names else "none"
    if isinstance(choice, NamedTool) and choice.function.name != TOOL:
        raise BadInput(f"tool_choice names {choice.function.name[:60]!r}, but this model calls {TOOL} only")
    tool = next((one for one in request.tools or () if one.function and one.function.name == TOOL), None)
    if tool is None and (choice == "required" or isinstance(choice, NamedTool)):
        raise BadInput(f"tool_choice asks for a call, but tools holds no function {TOOL}")
    if choice == "none" or request.messages[-1].role in ("tool", "function"):
        return None
    return tool


def arguments(call: T2ICall, tool: Tool) -> str:
    """The call as a tool's arguments: the fields that its schema names, or all where it names none."""
    fields = call.model_dump()
    named = ((tool.function.parameters if tool.function else None) or {}).get("properties")
    if isinstance(named, dict) and fields.keys() & named.keys():
        fields = {name: value for name, value in fields.items() if name in named}
    return json.dumps(fields, ensure_ascii=False)


def message_of(call: T2ICall, tool: Tool | None, request_id: str) -> tuple[Json, str]:
    """The assistant's message, and why it ends."""
    if tool is None:
        return {"role": "assistant", "content": call.to_json(), "refusal": None}, "stop"
    function = {"name": TOOL, "arguments": arguments(call, tool)}
    calls = [{"id": f"call_{request_id}", "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "refusal": None, "tool_calls": calls}, "tool_calls"


def completion(message: Json, ended: str, request_id: str, usage: Json | None) -> Json:
    """The answer as one object."""
    choice = {"index": 0, "message": message, "finish_reason": ended, "logprobs": None}
    found = _head(request_id, "chat.completion") | {"choices": [choice]}
    return found | ({"usage": usage} if usage else {})


def chunks(message: Json, ended: str, request_id: str, usage: Json | None) -> Iterator[str]:
    """The answer as server-sent events: the role, the pieces, why it ends, the usage if asked for."""
    head = _head(request_id, "chat.completion.chunk")
    for delta in _deltas(message):
        yield _event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": ended}]})
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
    written = call["function"]["arguments"]
    for start in range(0, len(written), 64):
        yield {"tool_calls": [{"index": 0, "function": {"arguments": written[start : start + 64]}}]}


def _head(request_id: str, kind: str) -> Json:
    return {"id": f"chatcmpl-{request_id}", "object": kind, "created": int(time.time()), "model": MODEL}


def _event(value: Json) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
