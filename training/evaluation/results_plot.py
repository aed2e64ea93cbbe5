"""Results as a picture: recall at 1 of prefilter, untuned and tuned agent on each set of pairs.

In: objects that ``diffagent eval select --json`` printed, named by their files. Out: a PNG file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffagent.data.dabench.funnel_plot import has_matplotlib
from diffagent.data.errors import BadInput, MissingExtra

WHO = {
    "baseline": ("TF-IDF + MiniLM", "#e4e8ea"),
    "prefilter": ("prefilter", "#c3dae3"),
    "no_llm": ("agent, no language model", "#a5c8d6"),
    "untuned": ("agent, untuned", "#7fb0c4"),
    "agent": ("agent", "#2f6f8f"),
}


def read_results(paths: Sequence[Path]) -> dict[str, Mapping[str, Any]]:
    """Name of a file → its results.

    Raises:
        BadInput: a file is not a result of ``diffagent eval select --json``.
    """
    results: dict[str, Mapping[str, Any]] = {}
    for path in paths:
        try:
            result = json.loads(path.read_text("utf-8"))
            result["prefilter"]["1"], result["ci95"]["prefilter"]["1"], result["n"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path} holds no results ({type(error).__name__}: {error})",
                "give what diffagent eval select --json printed",
            ) from None
        results[path.stem] = result
    return results


def draw(results: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draws bars with 95 % intervals into a PNG file.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    if not has_matplotlib():
        raise MissingExtra("a plot needs matplotlib, which is not installed: pip install 'diffagent[plot]'")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.2 + 2 * len(results), 4), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for place, (who, (label, colour)) in enumerate(WHO.items()):
        bars = [
            (at + 0.17 * place, *bar)
            for at, result in enumerate(results.values())
            if (bar := _bar(result, who))
        ]
        if bars:
            x, height, low, high = zip(*bars, strict=True)
            axes.bar(
                x, height, 0.15, yerr=(low, high), color=colour, label=label, ecolor="#22303a", capsize=2
            )
    axes.set_xticks([at + 0.34 for at in range(len(results))])
    axes.set_xticklabels([f"{name}\nn = {result['n']}" for name, result in results.items()])
    axes.set_ylabel("true model ranked first, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2)
    with path.open("wb") as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})


def _bar(result: Mapping[str, Any], who: str) -> tuple[float, float, float] | None:
    """The height of a bar and the lengths of the interval below and above it."""
    if who not in result:
        return None
    height = float(result[who]["1"])
    low, high = result["ci95"][who]["1"]
    return height, max(0.0, height - low), max(0.0, high - height)
