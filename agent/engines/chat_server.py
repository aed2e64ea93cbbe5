"""The engine behind any other URL: a server of OpenAI's chat completions, with any chat model.

    diffagent "a fox in the snow" --engine https://HOST/v1 --llm NAME

The engine needs neither token ids nor log-probabilities. The agent's questions are closed, so each is sent as
a JSON schema of enums: as structured output (``response_format``), else as the one function that the model
has to call (``tools``), else in words, whichever the server accepts. Every answer of the model has the
probability :data:`CONFIDENCE`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from diffagent.agent.engines import Choice, Prompt, Writing
from diffagent.agent.engines.grammar import Grammar, Slot
from diffagent.agent.engines.remote import RejectedRequest, Remote
from diffagent.agent.engines.structured import NAME, Field, instructions, read, schema, without_thought
from diffagent.data.errors import EngineError

CONFIDENCE = 0.9
"""Probability of the model's answer; the other options share the rest."""
TRUST = {"reading_weight": 4.0, "choice_weight": 3.0}
"""Weights of its answers beside the priors, in place of those fitted for the default model: an answer
outweighs rules and suitability, unless they are certain."""
AT_ONCE = 8
"""The most concurrent requests."""
ANSWER_TOKENS = 256
"""The most tokens of an answer, with room for a short thought before it."""
REFUSALS = (400, 405, 415, 422, 501)
"""Statuses with which servers refuse an unknown field."""
FORMS = ("schema", "tool", "text")
"""Forms of a question, strictest first."""
MEANINGS = {
    "medium": (
        "what the picture is, or looks, made of: the medium that the request names; where it names none, the "
        "natural one that an expert would choose for such a picture (things, people, food, animals and "
        "places of our world: photo; dragons, wizards and other imagined scenes: digital painting; lists of "
        "tags about anime girls: anime)."
    ),
    "people": (
        'who is in the picture: none where nobody is, "any" for people of several kinds, old people or '
        "people of no named kind."
    ),
    "special": (
        "the role of the LoRA that the request calls for beside a general model: style (a particular look or "
        "artist's manner that the medium alone does not give), character (a named invented one), concept, "
        "object, garment, pose, place or effect (a particular one that general models do not know). none for "
        "plain requests: a subject in a usual medium needs no LoRA."
    ),
    "letter": (
        "the letter of the line whose model makes the picture best. A line gives a model's name, whether it "
        "is a checkpoint (=) or a LoRA (+), its role, media and subjects. Where nothing special is asked "
        "for, the best general checkpoint of the right medium is right; a LoRA is right only where the "
        "request calls for the very style, character or thing that it is for."
    ),
}  # fmt: skip
"""Field of the agent's questions → its meaning, in more detail than the default model was tuned on."""


class ChatServerEngine:
    """See :class:`diffagent.agent.engines.BatchEngine`; safe to call from many threads.

    ``digest`` is derived from the server and the model, since the server does not tell its weights.
    ``outside`` counts the answers outside the options, where the priors decided instead.
    """

    batch_size = 64
    translates = True
    trust = TRUST

    def __init__(self, remote: Remote) -> None:
        """
        Raises:
            EngineGone: the server does not answer, or neither it nor the caller names a model.
        """
        remote.concurrency = min(remote.concurrency, AT_ONCE)
        self.remote, self.outside = remote, 0
        self.digest = sha256(f"{remote.url} {remote.model}".encode()).hexdigest()
        self._form = 0
        self._limit = "max_tokens"
        self._settings: dict[str, Any] = {"temperature": 0}
        self._lock = threading.Lock()

    def choose(self, prompt: Prompt, options: Sequence[str], draft: str = "") -> list[float]:
        """See :class:`diffagent.agent.engines.Engine`; an answer outside the options leaves them equal."""
        field = Field("letter", tuple(options), MEANINGS["letter"])
        return _log_probabilities(field.options, self._values(prompt, (field,)).get("letter"))

    def write(self, prompt: Prompt, grammar: Grammar, draft: str = "") -> str:
        """See :class:`diffagent.agent.engines.Engine`; its priors decide a slot without a usable answer."""
        slots = [slot for slot in grammar.slots if len(slot.options) > 1]
        if not slots or not grammar.llm_weight:
            return grammar.draft()
        fields = tuple(Field(slot.name, slot.options, MEANINGS.get(slot.name, "")) for slot in slots)
        values = self._values(prompt, fields)
        return grammar.render({slot.name: _fuse(slot, values.get(slot.name), grammar) for slot in slots})

    def choose_many(self, choices: Sequence[Choice]) -> list[list[float] | EngineError]:
        """Calls :meth:`choose` for each, concurrently."""
        return self.remote.all(
            [lambda choice=choice: self.choose(choice.prompt, choice.options) for choice in choices]  # type: ignore[misc]
        )

    def write_many(self, writings: Sequence[Writing]) -> list[str | EngineError]:
        """Calls :meth:`write` for each, concurrently."""
        return self.remote.all(
            [lambda writing=writing: self.write(writing.prompt, writing.grammar) for writing in writings]  # type: ignore[misc]
        )

    def generate(self, prompt: Prompt, max_new_tokens: int) -> str:
        """Returns the model's own answer, without its thoughts."""
        message = self._chat(_messages(prompt), max(max_new_tokens, ANSWER_TOKENS), {})
        return without_thought(str(message.get("content") or ""))

    def generate_many(self, prompts: Sequence[Prompt], max_new_tokens: int, batch_size: int = 8) -> list[str]:
        """Calls :meth:`generate` for each prompt, concurrently; raises the first error."""
        answers = self.remote.all(
            [lambda prompt=prompt: self.generate(prompt, max_new_tokens) for prompt in prompts]  # type: ignore[misc]
        )
        for answer in answers:
            if isinstance(answer, EngineError):
                raise answer
        return answers  # type: ignore[return-value]

    def _values(self, prompt: Prompt, fields: Sequence[Field]) -> dict[str, str]:
        """Returns field → option of the model's answer, without the fields that it leaves open."""
        values = read(self._answer(prompt, fields), fields)
        if len(values) < len(fields):
            with self._lock:
                self.outside += 1
        return values

    def _answer(self, prompt: Prompt, fields: Sequence[Field]) -> object:
        """Returns the answer in the strictest form that the server accepts, and uses that form from then
        on."""
        messages = _messages(prompt, instructions(fields))
        refusal: RejectedRequest | None = None
        for form in range(self._form, len(FORMS)):
            try:
                message = self._chat(messages, ANSWER_TOKENS, _form(FORMS[form], fields))
            except RejectedRequest as error:
                if error.status not in REFUSALS:
                    raise
                refusal = refusal or error
            else:
                self._form = form
                return _arguments(message) or message.get("content")
        raise refusal or EngineError(f"{self.remote.url} takes no request")

    def _chat(
        self, messages: Sequence[Mapping[str, str]], most: int, form: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Returns the server's message; drops settings that its model does not know."""
        while True:
            limit, settings = self._limit, self._settings
            body = {"model": self.remote.model, "messages": messages, limit: most, **settings, **form}
            try:
                answer = self.remote.ask("POST", "/chat/completions", body)
            except RejectedRequest as error:
                if "max_completion_tokens" in str(error) and limit == "max_tokens":
                    self._limit = "max_completion_tokens"
                elif "temperature" in str(error) and settings:
                    self._settings = {}
                else:
                    raise
            else:
                return self._message(answer)

    def _message(self, answer: Any) -> Mapping[str, Any]:
        try:
            message = answer["choices"][0]["message"]
        except (KeyError, IndexError, TypeError):
            message = None
        if not isinstance(message, Mapping):
            raise EngineError(f"{self.remote.url} answered without a chat completion: see its log")
        return message


def _messages(prompt: Prompt, more: str = "") -> list[dict[str, str]]:
    """Returns a prompt as a conversation; ``more`` follows its instructions."""
    messages = [{"role": "system", "content": "\n\n".join(filter(None, [prompt.system, more]))}]
    for user, answer in prompt.earlier:
        messages += [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    messages.append({"role": "user", "content": prompt.user})
    return [message for message in messages if message["content"] or message["role"] == "user"]


def _form(name: str, fields: Sequence[Field]) -> dict[str, Any]:
    """Returns a request's fields for a form of answer."""
    if name == "schema":
        described = {"name": NAME, "strict": True, "schema": schema(fields)}
        return {"response_format": {"type": "json_schema", "json_schema": described}}
    if name == "tool":
        function = {"name": NAME, "description": "Takes the answer.", "parameters": schema(fields)}
        return {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": NAME}},
        }
    return {}


def _arguments(message: Mapping[str, Any]) -> object:
    """Returns the arguments of a function call; None where there is none."""
    try:
        return message["tool_calls"][0]["function"]["arguments"]
    except (KeyError, IndexError, TypeError):
        return None


def _log_probabilities(options: Sequence[str], answer: str | None) -> list[float]:
    """Returns each option's log-probability: :data:`CONFIDENCE` for the answer; equal without a usable
    one."""
    count = len(options)
    if answer is None or count == 1:
        return [-math.log(count)] * count
    other = math.log((1 - CONFIDENCE) / (count - 1))
    return [math.log(CONFIDENCE) if option == answer else other for option in options]


def _fuse(slot: Slot, answer: str | None, grammar: Grammar) -> str:
    """Returns the most probable option by the answer and the slot's priors."""
    log_likelihoods = _log_probabilities(slot.options, answer)
    scores = [
        prior + grammar.llm_weight * log_likelihood
        for prior, log_likelihood in zip(slot.log_priors, log_likelihoods, strict=True)
    ]
    return slot.options[max(range(len(scores)), key=lambda at: scores[at])]
