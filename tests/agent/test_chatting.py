# ruff: noqa: E501
"""Chatting: long-winded messages are taken apart; captions and plain requests are left to the rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diffagent.agent.chatting import chatted, is_chat
from diffagent.agent.pieces import BITS, JOINTS, KINDS, Piece, Tagger, features, tagger, tokens
from diffagent.agent.request import Request
from diffagent.data.errors import BadInput

MESSAGE = (
    "Good morning, I am a teacher in Delft and my class has a party on Friday. Could you draw me a blue "
    "heron holding a teapot, ink and watercolour? No text please. Thank you so much, Anneke"
)


def test_a_message_is_sent_without_greeting_reason_and_exclusion() -> None:
    found = Request.from_prompt(MESSAGE)
    assert found.wishes.prompt == "a blue heron holding a teapot, ink and watercolour"
    assert found.wishes.negative_prompt == "text"
    assert any("teacher in Delft" in note for note in found.phrasing.notes)


def test_a_description_that_stands_behind_a_story_is_kept_whole() -> None:
    text = (
        "I'm writing a romance novel and my editor wants to see a sketch of the love interest: silver bob, round "
        "glasses, a green raincoat. Could you draw her in front of a bookshop at night? Thanks!"
    )
    sent = Request.from_prompt(text).wishes.prompt
    assert "silver bob, round glasses, a green raincoat" in sent
    assert "bookshop at night" in sent
    assert "Thanks" not in sent


@pytest.mark.parametrize(
    "text",
    [
        "a fox in the snow",
        "A tall man in a grey coat tells a boy about the sea. The boy holds a red kite. Gulls circle over them, dusk.",
        "Can you draw me a fox in boots please?",
        "Guten Morgen, ich brauche bitte ein Bild von einem Fuchs im Schnee, der eine rote Mütze trägt und lacht, danke",
    ],
)  # fmt: skip
def test_captions_short_requests_and_other_languages_are_no_chats(text: str) -> None:
    assert not is_chat(text)
    assert chatted(text) is None


def test_a_message_without_a_picture_is_left_to_the_rules() -> None:
    text = (
        "Hello, I hope you are well. I wanted to say thank you for your help last week. Kind regards, Tom Lee"
    )
    assert chatted(text) is None
    assert Request.from_prompt(text).wishes.prompt


def test_tokens_know_what_stands_before_them() -> None:
    found = tokens("Hi, a fox: red. And you")
    assert [one.word for one in found] == ["hi", "a", "fox", "red", "and", "you"]
    assert [JOINTS[one.joint] for one in found] == ["ended", "comma", "inside", "dash", "ended", "inside"]


def test_the_best_path_weighs_words_and_changes() -> None:
    weights = np.zeros((1 << BITS, len(KINDS)), np.float32)
    text = "hi a fox"
    rows = features(text, tokens(text))
    weights[rows[0][1], KINDS.index("talk")] = 2  # "w0 hi"
    weights[rows[2][1], KINDS.index("picture")] = 2  # "w0 fox"
    stay = np.stack([np.eye(len(KINDS), dtype=np.float32)] * len(JOINTS))
    found = Tagger(weights, stay)(text)
    assert [(one.start, one.end, one.kind) for one in found] in (
        [(0, 2, "talk"), (3, 8, "picture")],
        [(0, 4, "talk"), (5, 8, "picture")],
    )
    assert Tagger(weights, 9 * stay)(text)[0] == Piece(0, 8, found[0].kind if len(found) == 1 else "picture")
    assert Tagger(weights, stay)("  ") == []


def test_a_tagger_is_read_as_it_was_written(tmp_path: Path) -> None:
    tagger().save(tmp_path / "pieces.npz")
    assert (tmp_path / "pieces.npz").stat().st_size < 300_000
    assert Tagger.load(tmp_path / "pieces.npz")(MESSAGE) == tagger()(MESSAGE)


def test_another_file_is_an_error_that_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "pieces.npz").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="diffagent train talk"):
        Tagger.load(tmp_path / "pieces.npz")
