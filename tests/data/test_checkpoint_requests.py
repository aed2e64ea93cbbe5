"""How requests ask for checkpoints by name and version, and which words are no request."""

from __future__ import annotations

import pytest

from diffagent.data.checkpoint_requests import checkpoint_requests


@pytest.mark.parametrize(
    ("prompt", "name", "version", "words"),
    [
        ("a mill, juggernaut if possible, 3:2", "Juggernaut", None, "juggernaut"),
        ("a mill on realvis", "RealVis", None, "realvis"),
        ("a mill with dreamshaper pls", "DreamShaper", None, "dreamshaper"),
        ("dreamshaper 8, a mill", "DreamShaper", 8.0, "dreamshaper 8"),
        ("dreamshapper: a mill", "DreamShaper", None, "dreamshaper"),
        ("a mill, wai illustrious v14", "WAI Illustrious", 14.0, "wai illustrious v14"),
        ("waiIllustriousSDXL_v140, a mill", "WAI Illustrious", 14.0, "waiIllustriousSDXL_v140"),
        ("use juggernaut xl v9, a mill", "Juggernaut", 9.0, "juggernaut xl v9"),
        ("sdxl juggernaut xl, a mill", "Juggernaut", None, "juggernaut xl"),
        ("a mill on juggernaut xl lightning", "Juggernaut", None, "juggernaut xl lightning"),
        ("a mill drawn in realistic vision v5.1 please", "Realistic Vision", 5.1, "realistic vision v5.1"),
        ("photon model: a mill", "Photon", None, "photon"),
        ("a mill in pony realism", "Pony Realism", None, "pony realism"),
        ("illustrious v2: a mill", "Illustrious", 2.0, "illustrious v2"),
        ("can you use dreamshaper 8 for this, a mill", "DreamShaper", 8.0, "dreamshaper 8"),
        ("can u do dreamshaper 8 plus lanterns, a mill", "DreamShaper", 8.0, "dreamshaper 8"),
        ("My friend swears by Animagine, I think. Can you try it? a mill", "Animagine", None, "Animagine"),
        ("WAI illustrious + a style, a mill", "WAI Illustrious", None, "WAI illustrious"),
        ("I saw Animagine XL on civitai, any good? use it anyway. a mill", "Animagine", None, "Animagine XL"),
    ],
)
def test_a_checkpoint_is_heard(prompt: str, name: str, version: float | None, words: str) -> None:
    assert [(request.name, request.version, request.words) for request in checkpoint_requests(prompt)] == [
        (name, version, words)
    ]


def test_the_plea_goes_with_the_name() -> None:
    (request,) = checkpoint_requests("a mill, juggernaut if possible, 3:2")
    assert (
        "a mill, juggernaut if possible, 3:2"[request.start : request.end].strip() == "juggernaut if possible"
    )


@pytest.mark.parametrize(
    "prompt",
    [
        "a juggernaut in armour, juggernaut", "a photon torpedo", "deliberate strokes, a mill",
        "with deliberate strokes", "anything but a mill", "a counterfeit painting, counterfeit",
        "realistic vision of a mill", "a mill, wai", "illustrious, a mill", "an analog madness poster",
        "a mill, dreamscape", "a mill, hyperrealistic", "animating, a mill",
        "my friend loves Photon, so do i. a mill",
        "I saw Photon on civitai, it is not for me. a mill",
    ],
)  # fmt: skip
def test_ordinary_words_are_no_request(prompt: str) -> None:
    assert checkpoint_requests(prompt) == ()
