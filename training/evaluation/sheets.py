"""Contact sheets, and a blind side-by-side page: the images of five systems for the same prompts.

The page repeats the paper's user study (section 4.3): pairs of an aligned and a baseline image in an order
that hides which is which, with two questions each (which fits the prompt, which looks better; or a tie). It
is one HTML file with embedded images; votes stay in the browser until they are saved as JSON.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffagent.agent.executors.images import contact_sheet
from diffagent.training.evaluation.image_table import SYSTEMS, Calls
from diffagent.training.rewards.studio import Studio

PAIRS = 90
"""The number of pairs in the paper for one architecture."""
SHOWN = 36


def sheets(call_sets: Sequence[Calls], studio: Studio, seeds: Sequence[int], folder: Path) -> list[Path]:
    """Writes a contact sheet for each system: the first image of the first prompts, in one order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in SYSTEMS:
        pictures = [studio.images(call_set.calls[name], seeds[:1])[0] for call_set in call_sets[:SHOWN]]
        path = folder / f"sheet-{_file_name(name)}.png"
        contact_sheet(pictures, path)
        paths.append(path)
    return paths


def blind_page(
    call_sets: Sequence[Calls],
    studio: Studio,
    path: Path,
    *,
    seeds: Sequence[int] = (0,),
    ours: str = "RRHF",
    theirs: str = "Baseline",
) -> None:
    """Writes the page, with sides in a seeded random order, which the page holds but does not show."""
    rng = np.random.default_rng(0)
    chosen = [call_sets[i] for i in rng.permutation(len(call_sets))[:PAIRS]]
    parts = []
    for number, call_set in enumerate(chosen):
        sides = [ours, theirs] if rng.random() < 0.5 else [theirs, ours]
        shown = "".join(
            f'<img alt="{letter}" src="{_data_url(studio.files(call_set.calls[name], seeds[:1])[0])}">'
            for letter, name in zip("AB", sides, strict=True)
        )
        parts.append(
            f'<section data-n="{number}" data-left="{html.escape(sides[0])}">'
            f"<h2>{html.escape(call_set.prompt)}</h2><div>{shown}</div>"
            f"{_question(number, 'relevance', 'Which fits the words better?')}"
            f"{_question(number, 'quality', 'Which looks better?')}</section>"
        )
    names = json.dumps({"ours": ours, "theirs": theirs})
    path.write_text(_PAGE.replace("NAMES", names).replace("SECTIONS", "\n".join(parts)), encoding="utf-8")


def _question(number: int, kind: str, words: str) -> str:
    choices = "".join(
        f'<label><input type="radio" name="{kind}-{number}" value="{value}"> {label}</label>'
        for value, label in (("left", "A"), ("tie", "tie"), ("right", "B"))
    )
    return f"<p>{words} {choices}</p>"


def _data_url(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _file_name(system: str) -> str:
    return system.replace("*", "-star").replace("#", "-sharp")


_PAGE = """<!doctype html> <html lang="en"><meta charset="utf-8"><meta name="viewport"
content="width=device-width"> <title>Which image is better?</title> <style> body { font: 16px/1.5 system-ui,
sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222; } section { border-top: 1px
solid #ccc; padding: 1rem 0; } h2 { font-size: 1rem; } section div { display: flex; gap: 1rem; } img {
width: 50%; min-width: 0; image-rendering: auto; } label { margin-left: 1rem; } button { font: inherit;
padding: .4rem 1rem; } </style> <h1>Which image is better?</h1> <p>Two images of the same words, from two
systems in an order that changes. Answer what you like, then save.</p> SECTIONS <p><button id="save">Save
the votes</button> <span id="said" role="status"></span></p> <script> const names = NAMES;
document.getElementById("save").onclick = () => {
  const votes = [];
  for (const section of document.querySelectorAll("section")) {
    for (const kind of ["relevance", "quality"]) {
      const choice = section.querySelector(`input[name="${kind}-${section.dataset.n}"]:checked`);
      if (!choice) continue;
      const left = section.dataset.left, right = left === names.ours ? names.theirs : names.ours;
      const winner = { left, right, tie: "tie" }[choice.value];
      votes.push({ prompt: section.querySelector("h2").textContent, kind, winner });
    }
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(votes, null, 1)], { type: "application/json" }));
  link.download = "votes.json";
  link.click();
  document.getElementById("said").textContent = `${votes.length} votes`;
};
</script>
</html>
"""
