"""Words of the command line: prompts of several words, ``-`` for stdin, names of missing files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from diffagent.data.errors import BadPrompt

STDIN = "-"
_ENDS = (".json", ".jsonl", ".png", ".jpg", ".jpeg", ".webp", ".txt", ".csv", ".tsv")


def prompt_of(words: Sequence[str]) -> str | None:
    """The prompt of the joined words; ``-`` alone is all of stdin; None if there are no words.

    Raises:
        BadPrompt: stdin is not text.
    """
    if not words:
        return None
    if list(words) != [STDIN]:
        return " ".join(words)
    text = read_stdin()
    if isinstance(text, bytes):
        raise BadPrompt("stdin is not text: pipe a prompt into it, such as echo 'a fox' | diffagent call -")
    return text


def read_stdin() -> str | bytes:
    """All of stdin: text, or bytes if it is not UTF-8."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return sys.stdin.read()
    data: bytes = stream.read()
    try:
        return data.decode("utf-8-sig").strip("\n")
    except UnicodeDecodeError:
        return data


def is_missing_file(text: str) -> bool:
    """Whether the text is one word with a file's extension, and there is no such file."""
    is_one = not any(character.isspace() for character in text)
    return is_one and text.casefold().endswith(_ENDS) and not Path(text).exists()
