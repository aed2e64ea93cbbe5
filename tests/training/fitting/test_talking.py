# ruff: noqa: E501
"""Talking: labelled messages are read, fitted to, and measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from diffagent.agent.asking.pieces import KINDS, Piece
from diffagent.data.errors import BadInput
from diffagent.training.fitting.talking import fit, measure, read_chats

LINES = """{"pieces": [["Hello there!", "talk"], ["Please draw", "ask"], ["a red fox.", "picture"]]}
{"pieces": [["Hello again!", "talk"], ["Please draw", "ask"], ["a blue owl.", "picture"], ["No text.", "avoid"]]}
"""


def test_pieces_joined_by_blanks_are_the_message(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text(LINES)
    first = next(read_chats(tmp_path / "chats.jsonl"))
    assert first.text == "Hello there! Please draw a red fox."
    assert first.pieces[1:] == (Piece(13, 24, "ask"), Piece(25, 35, "picture"))
    assert [KINDS[kind] for kind in first.kinds] == ["talk"] * 2 + ["ask"] * 2 + ["picture"] * 3


@pytest.mark.wide
def test_what_is_fitted_to_is_learnt_and_all_picture_leaves_nothing_out(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text(LINES)
    chats = list(read_chats(tmp_path / "chats.jsonl"))
    learnt = measure(chats, fit(chats, epochs=25, rank=2, batch=2, rate=3e-3))
    assert (learnt["kept"], learnt["left_out"], learnt["exact"]) == (1.0, 1.0, 1.0)
    lazy = measure(chats, lambda text: [Piece(0, len(text), "picture")])
    assert (lazy["kept"], lazy["left_out"], lazy["avoid"], lazy["exact"]) == (1.0, 0.0, 0.0, 0.0)


def test_an_unknown_kind_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "chats.jsonl").write_text('{"pieces": [["Hello", "noise"]]}')
    with pytest.raises(
        BadInput, match=r"chats\.jsonl, line 1 is not a chat with labelled pieces .*'noise' is none of"
    ):
        next(read_chats(tmp_path / "chats.jsonl"))


def test_the_messages_that_ship_are_3521_of_which_a_quarter_is_held_out() -> None:
    chats = list(read_chats())
    assert (len(chats), sum(chat.is_held_out for chat in chats)) == (3521, 901)
