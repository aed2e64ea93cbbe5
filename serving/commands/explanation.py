"""The explanation: a decision as a short card for a terminal.

Deliberate (Checkpoint, SD 1.5)
https://civitai.com/models/4823?modelVersionId=15236

for        photo, digital painting; any subject; among the best known
why        No medium was named: photo suits the subject.
settings   512x512, DPM++ 2M Karras, 25 steps, CFG 7
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from diffagent.agent.answering.reasons import about

if TYPE_CHECKING:
    from diffagent.agent.decision import Decision
    from diffagent.data.records import T2ICall

LABEL = 11
"""The width of the labels, in columns."""


def explanation(decision: Decision, columns: int = 80) -> str:
    """The card of a decision, at most ``columns`` wide but for URLs."""
    best, call = decision.candidates[0], decision.call
    title = f"{best.card.name} ({call.type}, {call.base_model})"
    lines = [*_wrap(title, columns), *filter(None, [decision.url]), ""]
    for label, texts in _rows(decision):
        for number, text in enumerate(texts):
            indent = (label if number == 0 else "").ljust(LABEL)
            lines += _wrap(text, columns, indent)
    return "\n".join(lines)


def _rows(decision: Decision) -> Iterator[tuple[str, Sequence[str]]]:
    call, cards = decision.call, [candidate.card for candidate in decision.candidates]
    yield "for", ["; ".join(about(cards[0]))] if about(cards[0]) else []
    yield (
        "why",
        [reason for reason in decision.reasons if not reason.startswith(("Added ", "The runner-up "))],
    )
    yield "LoRAs", [f"{lora.model} × {lora.weight:g}" for lora in call.loras]
    yield "prompt", [call.prompt]
    yield "added", [", ".join(decision.added)] if decision.added else []
    yield "avoided", [call.negative_prompt] if call.negative_prompt else []
    yield "settings", [settings_line(call)]
    yield "notes", decision.notes
    yield "runner-up", [cards[1].name] if len(cards) > 1 else []


def settings_line(call: T2ICall) -> str:
    """A call's settings in one line."""
    parts = [
        f"{call.width}x{call.height}",
        str(call.sampler),
        f"{call.sampling_steps} steps",
        f"CFG {call.cfg_scale:g}",
        *([f"guidance {call.guidance:g}"] if call.guidance is not None else []),
        *([f"clip skip {call.clip_skip}"] if call.clip_skip is not None else []),
        *([f"seed {call.seed}"] if call.seed is not None else []),
    ]
    return ", ".join(parts)


def _wrap(text: str, columns: int, indent: str = "") -> list[str]:
    printable = "".join(character if character.isprintable() else " " for character in text)
    later = " " * len(indent)
    return textwrap.wrap(printable, max(columns, 40), initial_indent=indent, subsequent_indent=later)
