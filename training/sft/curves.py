"""The curves of a run: loss, held-out loss and learning rate over the steps, as a PNG file.

The training loss is weighted; in the held-out loss every token counts once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffagent.data.dabench.funnel_plot import has_matplotlib
from diffagent.data.errors import BadInput, MissingExtra
from diffagent.training.sft.answer_trainer import read_log


def draw(log: Path, path: Path) -> None:
    """Draws a run's ``log.jsonl`` into a PNG file.

    Raises:
        MissingExtra: matplotlib is not installed. BadInput: the log has no losses.
    """
    if not has_matplotlib():
        raise MissingExtra("curves need matplotlib, which is not installed: pip install 'diffagent[plot]'")
    rows = read_log(log)
    if not any("loss" in row for row in rows):
        raise BadInput(f"{log} has no losses to draw: train a few steps first")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = _ALIGNMENT if any("rank" in row for row in rows) else _TUNING
    figure = Figure(figsize=(8, 5.5), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    heights = [3] + [2] * (len(panels) - 2) + [1]
    panel_axes = figure.subplots(len(panels), 1, sharex=True, height_ratios=heights)
    for axes, (name, label) in zip(panel_axes, panels.items(), strict=True):
        _line(axes, rows, name, "train (weighted)" if name == "loss" else "train", "#7fb0c4")
        _line(axes, rows, f"eval_{name}", "held out (align)", "#b3532f")
        axes.set_ylabel(label)
    panel_axes[0].set_yscale("log")
    panel_axes[0].legend(frameon=False)
    panel_axes[-1].set_xlabel("step")
    with path.open("wb") as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})


_TUNING = {
    "loss": "loss, nats a token",
    "mean_token_accuracy": "tokens right",
    "learning_rate": "learning rate",
}
_ALIGNMENT = {
    "loss": "loss, nats",
    "rank": "ranking loss",
    "ordered": "pairs in order",
    "learning_rate": "learning rate",
}
"""Field of the log → label of its axis."""


def _line(axes: Any, rows: list[dict[str, Any]], name: str, label: str, colour: str) -> None:
    points = [(row["step"], row[name]) for row in rows if name in row]
    if points:
        marker = "o" if len(points) < 12 else None
        axes.plot(*zip(*points, strict=True), label=label, color=colour, marker=marker, markersize=3)
