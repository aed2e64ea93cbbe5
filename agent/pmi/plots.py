"""Results of ``diffagent pmi bench`` as pictures: accuracy over the number of images, and a query's best
models.

Needs matplotlib (the extra ``plot``) for the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffagent.data.errors import MissingExtra

METHODS = {
    "ours": ("this project", "#2f6f8f"),
    "pmi": ("Pmi, Eq. 9", "#b5651d"),
    "rkme": ("RKME", "#6b7780"),
    "baseline": ("most downloaded", "#c9c2b8"),
}
THUMBNAIL = 192
GAP = 6


def plot_accuracy(results: Mapping[str, Any], path: Path) -> None:
    """Plots top-1 (lines) and top-5 (dashed) of each method over the number of example images, as a PNG.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise MissingExtra("a plot needs matplotlib, which is not installed: pip install 'diffagent[plot]'")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    sizes = sorted(map(int, results["tasks"]))
    for method, (label, colour) in METHODS.items():
        rows = [results[method][str(size)] for size in sizes]
        axes.plot(sizes, [100 * row["top1"] for row in rows], "o-", color=colour, label=f"{label}, top 1")
        axes.plot(sizes, [100 * row["top5"] for row in rows], "--", color=colour, alpha=0.6)
    axes.set(xlabel="example images", ylabel="tasks whose model is found, %", xticks=sizes, ylim=(0, 100))
    axes.set_title(f"{results['models']} models; dashed: among the first five", fontsize=10)
    axes.grid(alpha=0.25)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    with path.open("wb") as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})


def contact_sheet(
    queries: Sequence[Path], answers: Sequence[tuple[str, float, Sequence[Path]]], path: Path
) -> None:
    """Draws a query's example images on top, then a row for each of its best models: name, probability and
    images."""
    from PIL import Image, ImageDraw

    from diffagent.data.encoders.image_loading import load_image

    columns = max(len(queries), *(len(files) for _, _, files in answers), 1)
    width = columns * (THUMBNAIL + GAP) + GAP
    height = (len(answers) + 1) * (THUMBNAIL + GAP + 16) + GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    rows = [("example images", queries)] + [(f"{n}  {p:.0%}", files) for n, p, files in answers]
    for number, (label, files) in enumerate(rows):
        top = GAP + number * (THUMBNAIL + GAP + 16)
        draw.text((GAP, top), label, fill="black")
        for column, file in enumerate(files):
            thumbnail = load_image(file)
            thumbnail.thumbnail((THUMBNAIL, THUMBNAIL))
            sheet.paste(thumbnail, (GAP + column * (THUMBNAIL + GAP), top + 14))
    sheet.save(path, format="PNG")
