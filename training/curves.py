"""The curves of a run: loss, held-out loss and learning rate over the steps, as a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffagent.data.errors import BadInput, MissingExtra
from diffagent.data.funnel_plot import has_matplotlib
from diffagent.training.answer_trainer import read_log


def draw(log: Path, path: Path) -> None:
    """Draw a run's ``log.jsonl`` into a PNG file.

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

    figure = Figure(figsize=(8, 5.5), dpi=130, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    losses, right, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    _line(losses, rows, "loss", "train", "#7fb0c4")
    _line(losses, rows, "eval_loss", "held out (align)", "#b3532f")
    losses.set_ylabel("loss, nats a token")
    losses.legend(frameon=False)
    _line(right, rows, "mean_token_accuracy", "train", "#7fb0c4")
    _line(right, rows, "eval_mean_token_accuracy", "held out", "#b3532f")
    right.set_ylabel("tokens right")
    _line(rate, rows, "learning_rate", "learning rate", "#6b7780")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("step")
    with path.open("wb") as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})


def _line(axes: Any, rows: list[dict[str, Any]], name: str, label: str, colour: str) -> None:
    points = [(row["step"], row[name]) for row in rows if name in row]
    if points:
        marker = "o" if len(points) < 12 else None
        axes.plot(*zip(*points, strict=True), label=label, color=colour, marker=marker, markersize=3)
