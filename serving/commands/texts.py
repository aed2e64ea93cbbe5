"""Words of the command line: prompts of several words, ``-`` for stdin, names of files that are missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from diffagent.data.errors import BadPrompt

STDIN = "-"
_ENDS = (".json", ".jsonl", ".png", ".jpg", ".jpeg", ".webp", ".txt", ".csv", ".tsv")


def prompt_of(words: Sequence[str]) -> str | None:
    """The prompt that words say together; ``-`` alone is all of stdin; None where there are none.

    Raises:
        BadPrompt: stdin holds no text.
    """
    if not words:
        return None
    if list(words) != [STDIN]:
        return " ".join(words)
    text = read_stdin()
    if isinstance(text, bytes):
        raise BadPrompt("stdin holds no text: pipe a prompt into it, such as echo 'a fox' | diffagent call -")
    return text


def read_stdin() -> str | bytes:
    """All of stdin: text, or bytes where it is no UTF-8."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return sys.stdin.read()
    data: bytes = stream.read()
    try:
        return data.decode("utf-8-sig").strip("\n")
    except UnicodeDecodeError:
        return data


def is_missing_file(text: str) -> bool:
    """Whether one word is meant as a file that is not there, by its ending."""
    is_one = not any(character.isspace() for character in text)
    return is_one and text.casefold().endswith(_ENDS) and not Path(text).exists()
