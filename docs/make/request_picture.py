"""Draws docs/pictures/request.svg, the picture at the top of the README: request → model card → image call.

    python docs/make/request_picture.py [--ask]

In: docs/pictures/request.json, a prompt, the count of models, the chosen card and the call; ``--ask``
asks the agent again first. Out: the picture.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
RECORD, PICTURE = PICTURES / "request.json", PICTURES / "request.svg"
PROMPT = "A cute happy corgi, pixel art"

WIDTH, TOP, PADDING, LINE, CHARACTER = 1010, 46, 16, 21, 7.3
"""Pixels; ``CHARACTER``: the width of one in the widest of the fonts."""
BOXES = {"request": (1, 206), "card": (319, 302), "call": (733, 276)}
"""Left edge and width of each box, in pixels."""
ARROWS = {
    (207, 319): ("reads the", "request, ranks", "{models:,} models"),
    (621, 733): ("takes the", "settings that", "people use"),
}
"""Left and right end of each arrow, with the words above it; fields of the record stand in braces."""
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', sans-serif"


def svg(record: dict[str, Any]) -> str:
    """The picture of a record."""
    card, card_end = _table("card", _card_rows(record["card"]), 86)
    call, call_end = _table("call", _call_rows(record["call"]), 84)
    height = max(card_end, call_end) - TOP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {TOP + height + 1}" width="{WIDTH}" '
        f'height="{TOP + height + 1}" font-family="{FONT}" font-size="14" role="img">',
        f"<title>{escape(_title(record))}</title>",
        f'<rect width="{WIDTH}" height="{TOP + height + 1}" rx="8" fill="#ffffff"/>',
        *_box("request", "Request", "#e8f1fd", height),
        *_request(f"“{record['prompt']}”", TOP + height // 2),
        *_box("card", "Model card", "#f3eefb", height),
        *card,
        *_box("call", "Image call", "#e9f6ec", height),
        *call,
        *(
            part
            for ends, words in ARROWS.items()
            for part in _arrow(*ends, [line.format(**record) for line in words], TOP + height // 2)
        ),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title(record: dict[str, Any]) -> str:
    return f"{record['prompt']} → {record['card']['name']} → a call that an image API takes"


def _card_rows(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    attributes, stats = card["attributes"], card["stats"]
    yield "name", card["name"]
    yield "type", f"{card['type']} of {card['base_model']}"
    yield "purpose", card["description"]
    yield "media", ", ".join(attributes["media"])
    yield "subjects", ", ".join(attributes["subjects"][:3])
    yield "triggers", ", ".join(card["trigger_words"][:3])
    if stats["downloads"]:
        yield "downloads", f"{stats['downloads']:,}"
    if stats["ratings"]:
        yield "rating", f"{stats['rating']} of 5, {stats['ratings']:,} votes"


def _call_rows(call: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "model", call["model"]
    yield "weight", ", ".join(str(lora["weight"]) for lora in call["loras"])
    yield "prompt", call["prompt"]
    yield "negative", textwrap.shorten(call["negative_prompt"], 50, placeholder=" …")
    yield "size", f"{call['width']} × {call['height']}"
    yield "sampler", f"{call['sampling_method']} {call['scheduler'] or ''}".strip()
    yield "steps", str(call["sampling_steps"])
    yield "CFG scale", f"{call['cfg_scale']:g}"


def _box(name: str, title: str, colour: str, height: int) -> Iterator[str]:
    x, width = BOXES[name]
    yield (
        f'<rect x="{x}" y="{TOP}" width="{width}" height="{height}" rx="8" fill="{colour}" stroke="#8b949e"/>'
    )
    yield f'<text x="{x}" y="{TOP - 16}" font-size="18" font-weight="600" fill="#1f2328">{title}</text>'


def _request(prompt: str, middle: int) -> Iterator[str]:
    x, _ = BOXES["request"]
    lines = textwrap.wrap(prompt, 20)
    for number, line in enumerate(lines):
        y = middle + 6 + round((number - (len(lines) - 1) / 2) * 24)
        yield f'<text x="{x + PADDING}" y="{y}" font-size="16" fill="#1f2328">{escape(line)}</text>'


def _table(name: str, rows: Iterable[tuple[str, str]], indent: int) -> tuple[list[str], int]:
    """The rows that have a value, as labels and wrapped values, and the y of the box's lower edge."""
    x, width = BOXES[name]
    parts, y = [], TOP + 30
    for label, value in rows:
        if value:
            parts.append(f'<text x="{x + PADDING}" y="{y}" fill="#59636e">{escape(label)}</text>')
        for line in textwrap.wrap(value, int((width - indent - 2 * PADDING) / CHARACTER)):
            parts.append(f'<text x="{x + PADDING + indent}" y="{y}" fill="#1f2328">{escape(line)}</text>')
            y += LINE
        y += 6 if value else 0
    return parts, y - 6


def _arrow(start: int, end: int, words: Sequence[str], y: int) -> Iterator[str]:
    middle = (start + end) // 2
    yield f'<path d="M{start + 6} {y}H{end - 14}" stroke="#1f2328" stroke-width="2"/>'
    yield f'<path d="M{end - 16} {y - 6}L{end - 4} {y}L{end - 16} {y + 6}Z" fill="#1f2328"/>'
    for number, line in enumerate(reversed(words)):
        height = y - 14 - number * 17
        yield (
            f'<text x="{middle}" y="{height}" font-size="13" text-anchor="middle" fill="#59636e">'
            f"{escape(line)}</text>"
        )


def ask() -> dict[str, Any]:
    """The record of :data:`PROMPT`, as the agent answers it now."""
    from diffagent.agent import Agent
    from diffagent.data.catalog.card_json import card_to_json

    agent = Agent.load()
    call = agent.call(PROMPT)
    card = agent.catalog.by_air(call.air)
    assert card
    return {
        "prompt": PROMPT,
        "models": len(agent.catalog),
        "card": card_to_json(card),
        "call": call.model_dump(),
    }


if __name__ == "__main__":
    if "--ask" in sys.argv:
        RECORD.write_text(json.dumps(ask(), ensure_ascii=False, indent=1) + "\n", "utf-8")
    PICTURE.write_text(svg(json.loads(RECORD.read_text("utf-8"))), "utf-8")
