"""Requests whose candidates, of the invented catalog, are graded."""

from __future__ import annotations

from collections.abc import Mapping

from diffagent.training.corpora.plain_requests import GradedCandidate, PlainRequest

PIXELS, OIL, XL = (
    "urn:air:sd1:checkpoint:civitai:11@12",
    "urn:air:sd1:checkpoint:civitai:22@23",
    "urn:air:sdxl:checkpoint:civitai:44@45",
)
ABSENT = "x"
"""What no catalog has."""
SLOTS = {"medium": None, "natural": "oil painting", "people": "none", "english": None}


def request(prompt: str, grades: Mapping[str, int]) -> PlainRequest:
    """A plain request for an oil painting, with the grade of each candidate's AIR."""
    graded = tuple(GradedCandidate(air, grade) for air, grade in grades.items())
    return PlainRequest(prompt, prompt, "plain", SLOTS, "none", graded)
