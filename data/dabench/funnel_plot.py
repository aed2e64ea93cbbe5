"""The funnel as a plot, comparable to the paper's Figure 2: a crawl's composition, and what is dropped.

In: statistics with ``crawled`` and ``funnel``. Out: a PNG file. Needs matplotlib (the extra ``plot``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffagent.data.errors import MissingExtra

Json = Mapping[str, Any]

_KEPT, _LOST, _INK, _MUTED = "#2f6f8f", "#e3b9a4", "#22303a", "#6b7780"
_SHADES = ("#2f6f8f", "#7fb0c4", "#c3dae3", "#e4e8ea")
_PARTS = {"type": "model type", "base_model": "base model", "content": "content flag", "file": "model file"}
_MOST = 3  # labelled parts of a bar; the rest is "other"


def has_matplotlib() -> bool:
    """Whether the extra ``plot`` is installed; imports nothing."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


_TITLES = {
    "models": "From models to entries",
    "images": "From images to pairs",
    "lists": "From other lists to pairs",
}


def plot(stats: Json, path: Path) -> None:
    """Draws the statistics into a PNG file, whatever the path's suffix.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    if not has_matplotlib():
        raise MissingExtra("a plot needs matplotlib, which is not installed: pip install 'diffagent[plot]'")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 9.2), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    lines = {name: _lines(stages) for name, stages in stats["funnel"].items()}
    parts = figure.add_axes((0.27, 0.83, 0.68, 0.12))
    _draw_parts(parts, stats["crawled"])
    heights = [len(group) for group in lines.values()]
    top, room = 0.76, 0.70
    for name, rows in lines.items():
        height = (room - 0.05) * len(rows) / sum(heights)
        axes = figure.add_axes((0.27, top - height, 0.68, height))
        _draw_funnel(axes, rows, _TITLES[name])
        top -= height + 0.06
    with path.open("wb") as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})


def _lines(stages: Sequence[Json]) -> list[tuple[str, int, int | None]]:
    """(label, remaining, dropped or None for a stage) from top to bottom."""
    lines: list[tuple[str, int, int | None]] = []
    for stage in stages:
        remaining = stage["count"]
        lines.append((stage["stage"], remaining, None))
        for reason, count in stage["dropped"].items():
            remaining -= count
            lines.append((reason, remaining, count))
    return lines


def _draw_parts(axes: Any, crawled: Json) -> None:
    """Draws a bar of 100 % for each of type, base model, content and file."""
    for row, key in enumerate(_PARTS):
        counts, edge = _largest_shares(crawled[key]), 0.0
        total = sum(counts.values()) or 1
        for shade, (label, count) in zip(_SHADES, counts.items(), strict=False):
            share = 100 * count / total
            axes.barh(row, share, left=edge, height=0.72, color=shade, edgecolor="white", linewidth=0.8)
            fitting = [text for text in (f"{label} {share:.0f} %", label) if share > 1.05 * len(text)]
            ink = "white" if shade == _SHADES[0] else _INK
            middle = edge + share / 2
            axes.text(middle, row, "".join(fitting[:1]), ha="center", va="center", fontsize=8, color=ink)
            edge += share
    _bare(axes, list(_PARTS.values()))
    axes.set_xlim(0, 100)
    axes.set_title("What the crawl is made of", loc="left", fontsize=11.5, color=_INK, weight="bold")


def _draw_funnel(axes: Any, lines: Sequence[tuple[str, int, int | None]], title: str) -> None:
    """Draws a waterfall: a full bar per stage, and the piece that each filter drops."""
    most = max((remaining + (dropped or 0) for _, remaining, dropped in lines), default=1) or 1
    for row, (_, remaining, dropped) in enumerate(lines):
        if dropped is None:
            axes.barh(row, remaining, height=0.78, color=_KEPT)
            text, end = f"{remaining:,}", remaining
        else:
            axes.barh(row, remaining, height=0.62, color=_SHADES[2])
            axes.barh(row, dropped, left=remaining, height=0.62, color=_LOST)
            text, end = f"−{dropped:,}", remaining + dropped
        axes.text(
            end + most * 0.008, row, text, va="center", fontsize=8.5,
            color=_INK if dropped is None else _MUTED, weight="bold" if dropped is None else "normal",
        )  # fmt: skip
    _bare(axes, [label for label, *_ in lines])
    for label, (*_, dropped) in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_color(_INK if dropped is None else _MUTED)
        label.set_weight("bold" if dropped is None else "normal")
    axes.set_xlim(0, most * 1.08)
    axes.set_title(title, loc="left", fontsize=11.5, color=_INK, weight="bold")


def _bare(axes: Any, labels: Sequence[str]) -> None:
    """Removes frame and ticks; one label per row, the first on top."""
    axes.set_yticks(range(len(labels)), labels, fontsize=9, color=_INK)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _largest_shares(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent values, and "other" for the rest."""
    ordered = sorted(counts.items(), key=lambda pair: (pair[0] == "none", -pair[1], pair[0]))
    shares, rest = dict(ordered[:_MOST]), sum(count for _, count in ordered[_MOST:])
    return {**shares, **({"other": shares.get("other", 0) + rest} if rest else {})}
