"""Looks of a picture that a message decides on in words that are cut: its medium, its mood, its ground.

with_medium("an otter on a raft", chat)  -> "an otter on a raft, charcoal"   cut: "so charcoal then"
with_medium("a girl on a bus", chat)     -> "a girl on a bus, anime"   cut: "I think anime would be best"
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from diffagent.agent.asking.chatting import ChatParts
from diffagent.data.attributes import Medium
from diffagent.data.media import named_media

_GROUND = re.compile(
    r"(?<!\bno )(?<!\bnot )\b(?:(?:plain|solid|pure|clean|all) )?(?:white|black|gr[ae]y|cream|blank|"
    r"transparent|plain) (?:background|backdrop|bg)\b",
    re.I,
)
"""The colour behind the subject."""
_BY_HAND: frozenset[Medium] = frozenset(
    ("oil painting", "watercolor", "pastel", "ink", "pencil sketch", "line art", "woodcut", "children's book")
)
"""Media that talk seldom names for another reason than the picture's."""
_DECIDED = re.compile(
    r"\b(?:i think|i guess|is (?:ok|okay|fine|good)|let['’]?s (?:go|do|make|say)|go (?:with|for)|make it|"
    r"(?:would|might) be (?:the )?(?:nice|nicest|best|better|lovely|great|good|perfect|prettier|cuter)|it is|"
    r"please|yeah|yes|yep|i(?:['’]d| would) (?:like|love|prefer))\b",
    re.I,
)
"""Words by which one medium of several is decided on."""
_LOOKS = re.compile(
    r"(?:very |super |a bit |kind of )?(?:cinematic|minimalist|photo-?realistic|hyper-?realistic|surreal|"
    r"retro|vintage|dreamy|moody|gritty|whimsical|dramatic lighting|film grain)",
    re.I,
)
"""A look, as a whole clause among settings."""
_DROPPED = re.compile(r"\b(?:not|instead|than|thought|first)\b", re.I)
"""Words beside a medium that was weighed and dropped."""
_SWAY = re.compile(r"\b(?:no|but|was going|wanted)\b", re.I)
"""Such words in front of it: "but a photo", where "a photo but grainy" is one."""
_OIL = re.compile(r"\b(?:yes|yeah|yep),? (?:in )?oils?\b", re.I)


def joined(prompt: str, words: str) -> str:
    """Returns the prompt with a phrase behind it."""
    return f"{prompt.rstrip(' ,;:.')}, {words}"


def with_ground(prompt: str, chat: ChatParts) -> str:
    """Returns a chat's description with the colour behind the subject, where it was cut."""
    hits = [*filter(None, map(_GROUND.search, chat.words))]
    return joined(prompt, hits[-1][0]) if hits and not _GROUND.search(prompt) else prompt


def with_medium(prompt: str, chat: ChatParts) -> str:
    """Returns a chat's description with the medium that was decided on in what was cut, and with looks among
    settings."""
    for look in (clause.strip(" .!") for words in chat.words for clause in _clauses(words)):
        if _LOOKS.fullmatch(look) and look.casefold() not in prompt.casefold():
            prompt = joined(prompt, look)
    clauses = [clause for words in reversed(chat.words) for clause in reversed([*_clauses(words)])]
    known = {mention.medium for mention in named_media(prompt)}
    for clause in clauses:
        if _OIL.search(clause):
            return joined(prompt, "oil painting")
        mentions = named_media(clause)
        if len(mentions) != 1 or _SWAY.search(clause[: mentions[0].start]) or _DROPPED.search(clause):
            continue
        size, [mention] = len(clause.split()), mentions
        if size <= 8 and _DECIDED.search(clause):
            return prompt if mention.medium in known else joined(prompt, mention.words)
        begins = not clause[: mention.start].strip(" \n")
        if (size <= 6 or (begins and size <= 12)) and not known and mention.medium in _BY_HAND:
            return joined(prompt, mention.words)
    return prompt


def _clauses(words: str) -> Iterator[str]:
    yield from re.split(r"(?:[.!?,;]|\.\.\.|…)\s+", words)
