"""A model's tokenizer and chat template: from a prompt to token ids.

Equal to ``AutoTokenizer.apply_chat_template(…, add_generation_prompt=True)``, without the seconds that
importing transformers takes. Special tokens in the prompt's own text are broken up first, so that a user
cannot close the user's turn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffagent.data.errors import EngineError, MissingWeights

if TYPE_CHECKING:
    from diffagent.agent.engines import Prompt

PLAIN_TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.content }}\n\n{% endfor %}"
"""The template of a model without its own."""


class Chat:
    """Tokenizer, template and special tokens of one weights folder."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        file = folder / "tokenizer.json"
        if not file.is_file():
            raise MissingWeights(
                f"{folder} has no tokenizer.json; write one with transformers' "
                "AutoTokenizer.from_pretrained(…).save_pretrained(…)"
            )
        self.source = file.read_text(encoding="utf-8")
        self.tokenizer = Tokenizer.from_str(self.source)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self._config = _read_json(folder / "tokenizer_config.json")
        self._template_file = folder / "chat_template.jinja"
        generation = _read_json(folder / "generation_config.json") or _read_json(folder / "config.json")
        self.end_ids = self._end_ids(generation.get("eos_token_id"))
        """Tokens that end an answer; the first is the one to write."""

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """Returns the token ids of the system and user turns and of the answer's opening."""
        return self.encode(self.render(prompt))

    def render(self, prompt: Prompt) -> str:
        """Returns the prompt's text in the model's chat template."""
        import jinja2

        turns = [("system", prompt.system)]
        for user, assistant in prompt.earlier:
            turns += [("user", user), ("assistant", assistant)]
        turns.append(("user", prompt.user))
        messages = [{"role": role, "content": self._defuse(content)} for role, content in turns if content]
        names = {key: self._special(key) for key in ("bos_token", "eos_token", "unk_token", "pad_token")}
        try:
            return str(self._template.render(messages=messages, add_generation_prompt=True, **names))
        except jinja2.TemplateError as error:
            raise EngineError(
                f"the model's chat template refused the prompt: {error}; "
                "use a model whose template has a system turn"
            ) from None

    def encode(self, text: str) -> list[int]:
        """Returns the token ids of a prompt, which SentencePiece starts with a space; answers are tokenised
        by :meth:`diffagent.agent.engines.decode.Vocabulary.encode`."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        return list(self.tokenizer.encode(clean, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of token ids, without special tokens."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    @cached_property
    def _template(self) -> Any:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        return environment.from_string(self._template_source())

    def _template_source(self) -> str:
        if self._template_file.is_file():
            return self._template_file.read_text(encoding="utf-8")
        template = self._config.get("chat_template") or PLAIN_TEMPLATE
        if isinstance(template, list):  # several named templates
            template = {entry["name"]: entry["template"] for entry in template}["default"]
        return str(template)

    def _special(self, key: str) -> str:
        token = self._config.get(key) or ""
        return str(token["content"] if isinstance(token, dict) else token)

    def _end_ids(self, configured: int | list[int] | None) -> list[int]:
        if configured is None:
            end = self.tokenizer.token_to_id(self._special("eos_token"))
            configured = [] if end is None else [end]
        ids = configured if isinstance(configured, list) else [configured]
        if not ids:
            raise MissingWeights(
                "the model names no end-of-sequence token; add eos_token_id to its config.json"
            )
        return ids

    @cached_property
    def _specials(self) -> list[str]:
        return [
            token.content for token in self.tokenizer.get_added_tokens_decoder().values() if token.special
        ]

    def _defuse(self, text: str) -> str:
        for special in self._specials:
            if special in text:
                text = text.replace(special, f"{special[:1]} {special[1:]}")
        return text


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    value = json.loads(file.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}


def _refuse(message: str) -> None:
    import jinja2

    raise jinja2.TemplateError(message)
