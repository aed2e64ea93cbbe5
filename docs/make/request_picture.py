"""Draws docs/pictures/request.svg, the picture at the top of the README: request → model card → image call.

    python docs/make/request_picture.py [--ask]

In: docs/pictures/request.json, a prompt with the card that was chosen and the call that was made; ``--ask``
asks the agent again first. Out: the picture.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

PICTURES = Path(__file__).resolve().parents[1] / "pictures"
RECORD, PICTURE = PICTURES / "request.json", PICTURES / "request.svg"
PROMPT = "A cute happy corgi, pixel art"

WIDTH, HEIGHT, TOP, BOX_HEIGHT = 1080, 372, 56, 290
LINE = 21
BOXES = {"request": (20, 240), "card": (376, 300), "call": (792, 268)}
"""Left edge and width of each box, in pixels."""
ARROWS = {
    (262, 374): ("reads what is", "asked for, ranks", "6,290 models"),
    (678, 790): ("takes the", "settings that", "people use"),
}
"""Left and right end of each arrow, with the words above it."""
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', sans-serif"


def svg(record: dict[str, Any]) -> str:
    """The picture of a record."""
    card, call = record["card"], record["call"]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="{FONT}" font-size="14" role="img">',
        f"<title>{escape(_title(record))}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        *_box("request", "Request", "#e8f1fd"),
        *_lines("request", textwrap.wrap(f"“{record['prompt']}”", 24), size=18),
        *_box("card", "Model card", "#f3eefb"),
        *_table("card", _card_rows(card), 92),
        *_box("call", "Image call", "#e9f6ec"),
        *_table("call", _call_rows(call), 88),
        *(part for ends, words in ARROWS.items() for part in _arrow(*ends, words)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _title(record: dict[str, Any]) -> str:
    return f"{record['prompt']} → {record['card']['name']} → a call that an image API takes"


def _card_rows(card: dict[str, Any]) -> Iterator[tuple[str, str]]:
    attributes = card["attributes"]
    yield "name", card["name"]
    yield "type", f"{card['type']} of {card['base_model']}"
    yield "purpose", card["description"]
    yield "media", ", ".join(attributes["media"])
    yield "downloads", f"{card['stats']['downloads']:,}"
    yield "rating", f"{card['stats']['rating']} of 5, {card['stats']['ratings']} votes"
    yield "file", card["file_name"]


def _call_rows(call: dict[str, Any]) -> Iterator[tuple[str, str]]:
    lora = call["loras"][0] if call["loras"] else None
    yield "model", call["model"]
    if lora:
        yield "weight", str(lora["weight"])
    yield "prompt", call["prompt"]
    yield "negative", textwrap.shorten(call["negative_prompt"], 36, placeholder=" …")
    yield "size", f"{call['width']} × {call['height']}"
    yield "sampler", f"{call['sampling_method']} {call['scheduler'] or ''}".strip()
    yield "steps, CFG", f"{call['sampling_steps']}, {call['cfg_scale']}"


def _box(name: str, title: str, colour: str) -> Iterator[str]:
    x, width = BOXES[name]
    yield (
        f'<rect x="{x}" y="{TOP}" width="{width}" height="{BOX_HEIGHT}" rx="8" fill="{colour}" '
        'stroke="#8b949e"/>'
    )
    yield f'<text x="{x}" y="{TOP - 16}" font-size="18" font-weight="600" fill="#1f2328">{title}</text>'


def _lines(name: str, lines: Sequence[str], size: int) -> Iterator[str]:
    x, _ = BOXES[name]
    for number, line in enumerate(lines):
        y = TOP + BOX_HEIGHT // 2 - 8 + number * (size + 8)
        yield f'<text x="{x + 16}" y="{y}" font-size="{size}" fill="#1f2328">{escape(line)}</text>'


def _table(name: str, rows: Iterator[tuple[str, str]], indent: int) -> Iterator[str]:
    x, width = BOXES[name]
    y = TOP + 30
    for label, value in rows:
        yield f'<text x="{x + 16}" y="{y}" fill="#59636e">{escape(label)}</text>'
        for line in textwrap.wrap(value, (width - indent - 28) // 7):
            yield f'<text x="{x + 16 + indent}" y="{y}" fill="#1f2328">{escape(line)}</text>'
            y += LINE
        y += 6


def _arrow(start: int, end: int, words: Sequence[str]) -> Iterator[str]:
    y = TOP + BOX_HEIGHT // 2
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
    return {"prompt": PROMPT, "card": card_to_json(card), "call": call.model_dump()}


if __name__ == "__main__":
    if "--ask" in sys.argv:
        RECORD.write_text(json.dumps(ask(), ensure_ascii=False, indent=1) + "\n", "utf-8")
    PICTURE.write_text(svg(json.loads(RECORD.read_text("utf-8"))), "utf-8")
