"""Chatting: a long-winded message, taken apart by the pieces that a fitted model sees in it.

In: a message. Out: :class:`Chatted`: the words that describe the picture, in their order, what it must not
have, and what was left out; None where it reads as a caption or a plain request.

    chatted("Hi, I run a bakery in Porto. Please draw me a loaf with a crown, oil paint. No text. Ta!")
      -> "a loaf with a crown, oil paint.", avoid ("text",)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from diffagent.agent.asking.cutting import masked
from diffagent.agent.asking.exclusions import exclusions
from diffagent.agent.asking.language import language
from diffagent.agent.asking.pieces import Piece, tagger
from diffagent.agent.asking.talk import resolved

LEAST = 24
"""Words of the shortest message: rules read shorter ones."""
_SPEECH = re.compile(
    r"\b(?:i|i['’](?:m|d|ve|ll)|im|we|we['’](?:re|d|ve|ll)|me|us|my|our|you|u|your|thanks?|thx|please|pls|"
    r"plz|hi|"
    r"hello|hey|dear)\b",
    re.I,
)
_SENTENCE = re.compile(r"(?:[.!?]|(?<!\s)\n)(?=\s++\S)")
_WORD = re.compile(r"[^\W_]")
_LEAD = re.compile(
    r"\A(?:\s|[,;:.!?–—-]|(?:and|but|so|or|also|then|because|anyway|with|of|that into|this into|it into|"
    r"to be|is|u+h+m*)\b(?=\s))+",
    re.I,
)
"""What ties a piece to what was left out before it."""
_BACK = re.compile(r"\b(?:of|into|as) (?:that|this|the same) [a-z]", re.I)
_NAY = re.compile(
    r"\A\W*(?:(?:but|and|so|also|just|please|pls|kindly|oh|"
    r"(?:i|we)(?:['’]d)? (?:want|need|like))\b[\s,]*)*(?:no|not|without|nothing|never|avoid|"
    r"skip|leave out|"
    r"(?:i |we )?(?:do not|don['’]?t|dont)(?: want| like| need| add| put| include| show| use| make it)?)\b"
    r"(?:\s(?:any|an?|the|that|those|too|please|in|to see))*\s(?P<name>[^,;.!?\n]{2,40}?)"
    r"(?=\s(?:at all|anywhere|please|pls|this time|because|cause)\b|[,;.!?\n]|$)",
    re.I,
)


@dataclass(frozen=True)
class Chatted:
    """``prompt`` describes the picture, ``avoid`` names what it must not have, ``words`` were left out."""

    prompt: str
    avoid: tuple[str, ...]
    words: tuple[str, ...]


def is_chat(text: str) -> bool:
    """Whether a message speaks to somebody at some length, in English."""
    flat = masked(text)
    if len(flat.split()) < LEAST or not _SPEECH.search(flat):
        return False
    persons = len(_SPEECH.findall(flat))
    return (persons > 1 or bool(_SENTENCE.search(flat))) and language(text) is None


def chatted(text: str) -> Chatted | None:
    """Takes a message apart by its pieces; None where it is no chat, or all picture."""
    if not is_chat(text):
        return None
    pieces = tagger()(text)
    avoid = [name for one in pieces if one.kind == "avoid" for name in _avoided(text[one.start : one.end])]
    shown = [one for one in pieces if one.kind == "picture"]
    prompt = _joined(text, shown, pieces, avoid)
    prompt = resolved(prompt, text) if _BACK.search(prompt) else prompt
    if not _WORD.search(prompt) or not any(one.kind in ("talk", "ask") for one in pieces):
        return None
    left = [text[one.start : one.end] for one in pieces if one.kind in ("talk", "setting")]
    return Chatted(prompt, tuple(dict.fromkeys(avoid)), tuple(left))


def _joined(text: str, shown: list[Piece], pieces: list[Piece], avoid: Sequence[str]) -> str:
    """The pieces of the picture as one text: a sentence that was cut ends in a comma or in a stop.

    Clauses that only name again what is left out go too.
    """
    repeated = {f"{article}{name.casefold()}" for name in avoid for article in ("", "a ", "an ", "the ")}
    prompt, last = "", -1
    for one in shown:
        at = pieces.index(one)
        words = text[one.start : one.end]
        if at != last + 1 or at == 0:
            words = _LEAD.sub("", words)
        if not _WORD.search(words):
            continue
        if prompt and prompt[-1] not in ".!?,;:" and at != last + 1:
            prompt += ","
        prompt += (" " if prompt else "") + words
        last = at
    prompt = ", ".join(
        clause for clause in re.split(r",\s+", prompt) if clause.strip(" .!").casefold() not in repeated
    )
    if len(re.findall(r"[.!?](?=\s|$)", prompt)) == 1:
        prompt = prompt.rstrip(" ?")  # the question was the asking's
    prompt = re.sub(r"\?(?=\s|$)", ".", prompt) if "?" in prompt else prompt
    return prompt.rstrip(" ,;:-–—")


def _avoided(words: str) -> tuple[str, ...]:
    """What a piece of exclusion names."""
    rest, names = exclusions(words.strip(), is_spoken=True)
    if names:
        return tuple(name for name in names if len(name.split()) < 5)
    nay = _NAY.match(rest)
    return tuple(re.split(r"\s(?:or|and|nor)\s", nay["name"].strip())) if nay else ()
