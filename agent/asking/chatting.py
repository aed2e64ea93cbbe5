"""Chatting: a long-winded message, split into the pieces that a fitted model finds in it.

In: a message. Out: :class:`ChatParts`: the words that describe the picture, in their order, what it must not
have, and what was left out; None for a caption or a plain request.

    chat_parts("Hi, I run a bakery in Porto. Please draw me a loaf with a crown, oil paint. No text. Ta!")
      -> "a loaf with a crown, oil paint.", avoid ("text",)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise

from diffagent.agent.asking.cutting import has_words, masked
from diffagent.agent.asking.exclusions import exclusions, things
from diffagent.agent.asking.language import foreign_tags, language
from diffagent.agent.asking.pieces import Kind, Piece, Token, tagger, tokens
from diffagent.agent.asking.setting_words import says_room
from diffagent.agent.asking.talk import resolve
from diffagent.data.encoders.text_encoder import WINDOW

LEAST = 3
"""The fewest words of a message."""
LONG = 24
"""Words from which on rules cannot follow a message's story; of shorter ones, what rules cut stays out."""
MOST_TOKENS = 2 * WINDOW
"""The most tokens of a message, about 800 words."""
LEAN = 1.0
"""Added to the picture's scores in shorter messages: 98 % keep all of its words, 94 % without."""
_WISH = re.compile(
    r"\b(?:instead|rather|space|room|empty|emptiness|blank|third|draft|versions?|seed|(?:low|few) steps|"
    r"wider|taller|as (?:big|large)|maybe|perhaps|wait|actually|sorry|or smth|lol|haha|cuz|bc|w/o|dont|want|"
    r"need|gimme|give me|can u|use|keep (?:the|some)|leave|make it|for (?:etsy|instagram|a blog|print))\b",
    re.I,
)
"""Words of requests that may be more than a description."""
_SPEECH = re.compile(
    r"\b(?:i|i['’](?:m|d|ve|ll)|im|we|we['’](?:re|d|ve|ll)|me|us|my|our|you|u|your|thanks?|thx|please|pls|"
    r"plz|hi|"
    r"hello|hey|dear)\b",
    re.I,
)
_WEIGHTED = re.compile(r"<lora:|\([^()]{1,80}:\d|\bBREAK\b")
"""Syntax that only prompts for programs have."""
_PLEA = re.compile(r"\s(?:please|pls|plz|plss|thx|ty)(?=\s*(?:[,.;!?]|$))", re.I)
_REASON = re.compile(
    r"\s(?:i|we|you|he|she|they|it|because|cause|bc|cuz|everyone|everybody|since|tho|though|lol|please|pls|plz)\b.*",
    re.I | re.S,
)
"""The reason behind the name of something that is not wanted."""
_VERB = re.compile(r"\A(?:(?:write|put|add|show|include|draw|use|have|make|any|the|a|an)\s)+", re.I)
_MARKS = ".,;:!?\"'()"
_ARTICLES = frozenset(("a", "an", "the"))
_FIRST = re.compile(
    r"(?:do|care|worry|mind|forget|sure|need|idea|problem|matter|rush|hurry|longer|more|one|way|pressure|"
    r"expect|know|think|worries|important|clue|time|thanks|deadline|offen[cs]e)\b",
    re.I,
)
"""Words behind "no" and "don't" that make an idiom, not an exclusion."""
_JOINERS = re.compile(
    r"\A\W*(?:(?:so|and|but|also|plus|then|oh|ok)\b[\s,]*)+(?=no\b|not\b|without\b|don)", re.I
)
"""Words that tie an exclusion to what is before it."""
_AND_MORE = re.compile(r"(?:and|or|nor|,)\s(?P<name>[^\W\d_]{3,20}(?:\s[^\W\d_]{3,20})?)[\s.!]*", re.I)
"""The rest of a list of exclusions: "no smoke and rust"."""
_NOTHING = frozenset(("else", "anything else", "more", "it", "them", "that", "this", "me", "u", "you"))
_NAMING = re.compile(r"\b(?!(?:an|the|my|of|in|on|at|to|it|is)\b)[^\W_]{2,}", re.I)
"""A word that may name what is to be seen."""
_THING = re.compile(
    r"(?!(?:cheers|ta|bye|anyway|anyways|ok|okay|hmm+|sorry|morning|evening|lol|haha|yes|no|wow|right|well|so|"
    r"nothing|whatever|surprise|help|regards|best|merci|danke|gracias|cool|great|nice|perfect|done|ciao)\b)"
    r"(?:(?:an?|the|some) )?[^\W\d_]{3,}(?: [^\W\d_]{3,})?[.!]?",
    re.I,
)
"""A sentence that is only the name of a thing."""
_LEAD = re.compile(
    r"\A(?:\s|[,;:.!?–—-]|(?:and|but|so|or|also|then|because|anyway|with|of|that into|this into|it into|"
    r"to be|is|u+h+m*)\b(?=\s))+",
    re.I,
)
"""Words that tie a piece to a cut before it."""
_BACK = re.compile(r"\b(?:of|into|as) (?:that|this|the same) [a-z]", re.I)
_MAYBE = re.compile(r"\b(?:maybe|perhaps|possibly|i thought (?:of|about)|i was thinking)\b", re.I)
_DISLIKED = re.compile(
    r"(?:the |a |an )?[\w'’ -]{2,24} (?:looks?|feels?|would look|would feel) "
    r"(?:(?:a bit|too|so|kind of|just|really) )?"
    r"(?:tacky|cheap|cheesy|kitschy|lame|overdone|clich[eé]d?|boring|childish|ugly|wrong|weird|silly)\b.*",
    re.I,
)
"""A clause that says why something was dropped: "gold looks tacky in our light"."""
_SEEN = re.compile(
    r"so (?:that )?(?:you|u|we|one) can see (?:the|his|her|its|their|all the) [^,.;:!?\n]{3,30}[.!]?", re.I
)
_ALSO_FINE = re.compile(
    r"(?:(?:if [^,.]{2,30} )?then )?(?:an? )?[\w -]{3,24} (?:is|would be) (?:fine|ok|okay|alright) too[.!]?",
    re.I,
)
"""A second choice: "a painting is fine too"."""
_FIRST_NAME = re.compile(
    r"(?!(?:Ok|Okay|So|Well|Yo|Good|Dear|Morning|Greetings)\b)[A-Z][\w'’-]+(?:\s[A-Z][\w'’-]+)?"
)
"""A name without a comma behind it."""
_VERB_AND_NAME = re.compile(
    r"(?:[^\n]{0,40}\s)?(?i:draw|paint|sketch|make|show|generate)(?:\s(?:me|us))?"
    r"\s(?P<name>(?!I\b)[A-Z][\w'’-]+(?:\s[A-Z][\w'’-]+){0,3})"
)
"""An asking clause with a name behind its verb."""
_SOMEBODY = re.compile(
    r"\b(?:i|we|you|they|he|she|people|players|everybody|everyone|somebody|customers|kids|always)\s\w+", re.I
)
_DANGLING_JOINT = re.compile(r"\s(?:and|or|but|with|plus)(?P<end>,(?=\s)|\.(?=\s|$))", re.I)
"""A joining word whose other side was cut."""
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
class ChatParts:
    """``prompt`` describes the picture, ``avoid`` names what it must not have, ``settings`` are about the
    call; ``words`` were left out, settings among them."""

    prompt: str
    avoid: tuple[str, ...]
    settings: tuple[str, ...]
    words: tuple[str, ...] = ()
    exclusions: str = ""
    """The text of the pieces that exclude something, in lower case."""
    is_rest: bool = False
    """Whether the prompt is the one by rules."""

    def excludes(self, name: str) -> bool:
        """Whether ``exclusions`` contains a name that no entry of ``avoid`` is a part of."""
        phrase = name.casefold()
        return phrase in self.exclusions and not any(avoided.casefold() in phrase for avoided in self.avoid)


def is_message(text: str, rest: str) -> bool:
    """Whether an English text may be more than a description; ``rest`` is what rules leave of it."""
    flat = masked(text)
    if len(flat.split()) < LEAST or _WEIGHTED.search(flat):
        return False
    is_caption = rest == text and not _WISH.search(flat)
    if not _SPEECH.search(flat) and (is_caption or _is_list(flat)):
        return False
    return language(text) is None


def _is_list(text: str) -> bool:
    """Whether a text is a list of tags."""
    tags = text.split(",")
    return len(tags) >= 6 and len(text.split()) <= 3 * len(tags)


def chat_parts(text: str, rest: str) -> ChatParts | None:
    """Returns the parts of a message; None for other texts and longer ones, and where the picture's words
    are the ``rest`` that rules leave."""
    if not is_message(text, rest):
        return None
    if tagger().encoder.count(text) > MOST_TOKENS:
        return None
    words = tokens(text)
    if len(words) < LONG:
        cut_words = _missing_words([text[word.start : word.end] for word in words], rest)
        pieces = [_as_subject(text, piece) for piece in tagger()(text, LEAN)]
    else:
        cut_words, pieces = frozenset(), tagger()(text)
    pieces = [part for piece in _with_first_name(text, pieces) for part in _asked_name(text, piece)]
    pieces = _whole_foreign_clauses(text, _with_cuts(text, words, pieces, cut_words))
    other_words = {
        number
        for number, word in enumerate(words)
        if any(piece.start <= word.start < piece.end for piece in pieces if piece.kind != "picture")
    }
    settings, talk = (
        [text[piece.start : piece.end] for piece in pieces if piece.kind == kind]
        for kind in ("setting", "talk")
    )
    settings += _runs(text, words, cut_words)
    if other_words <= cut_words:
        return ChatParts(rest, (), tuple(settings), is_rest=True) if settings else None
    avoid = [
        name
        for piece in pieces
        if piece.kind == "avoid"
        for name in _exclusion_names(text[piece.start : piece.end])
    ]
    picture_pieces = [piece for piece in pieces if piece.kind == "picture"]
    prompt = _join(text, picture_pieces, pieces, avoid)
    prompt = resolve(prompt, text) if _BACK.search(prompt) else prompt
    if not _NAMING.search(prompt):
        return ChatParts(rest, (), tuple(settings), is_rest=True)
    again = r"\byes,? (?:the |an? )?"  # "no moon. Then he called, yes moon."
    avoid = [name for name in avoid if not re.search(rf"{again}{re.escape(name)}\b", text, re.I)]
    exclusions_text = " ".join(
        text[piece.start : piece.end] for piece in pieces if piece.kind == "avoid"
    ).casefold()
    return ChatParts(
        prompt, tuple(dict.fromkeys(avoid)), tuple(settings), (*talk, *settings), exclusions_text
    )


def _runs(text: str, words: Sequence[Token], numbers: Collection[int]) -> list[str]:
    """The texts of numbered words; consecutive words are one text."""
    starts = [n for n in sorted(numbers) if n - 1 not in numbers]
    ends = [n for n in sorted(numbers) if n + 1 not in numbers]
    return [text[words[low].start : words[high].end] for low, high in zip(starts, ends, strict=True)]


def _with_cuts(
    text: str, words: Sequence[Token], pieces: Sequence[Piece], cut_words: Collection[int]
) -> list[Piece]:
    """The pieces, without the words in the picture's that rules cut.

    An article at the edge of a setting that rules cut belongs to the picture, and so does room that they keep
    ("the left side free").
    """
    kinds: list[Kind] = []
    starts = [word.start for number, word in enumerate(words) if number in cut_words]
    cut_starts = {
        piece.start for piece in pieces if any(piece.start <= start < piece.end for start in starts)
    }
    for number, word in enumerate(words):
        piece = next(candidate for candidate in pieces if candidate.start <= word.start < candidate.end)
        kind = piece.kind
        is_edge = number + 1 == len(words) or words[number + 1].start > piece.end or word.start == piece.start
        if kind == "picture" and number in cut_words:
            kind = "talk"
        elif number not in cut_words and kind == "setting" and piece.start in cut_starts:
            is_article = is_edge and text[word.start : word.end].casefold() in _ARTICLES
            kind = "picture" if is_article or says_room(text[piece.start : piece.end]) else kind
        kinds.append(kind)
    edges = [0, *(at for at in range(1, len(words)) if kinds[at] != kinds[at - 1]), len(words)]
    return [Piece(words[low].start, words[high - 1].end, kinds[low]) for low, high in pairwise(edges)]


def _missing_words(words: Sequence[str], rest: str) -> frozenset[int]:
    """The numbers of the words that the rest of a text lacks."""
    message_words, rest_words = (
        [word.strip(_MARKS).casefold() for word in part] for part in (words, rest.split())
    )
    blocks = SequenceMatcher(None, message_words, rest_words, autojunk=False).get_matching_blocks()
    return frozenset(range(len(words))) - {
        position for block in blocks for position in range(block.a, block.a + block.size)
    }


def _as_subject(text: str, piece: Piece) -> Piece:
    """The piece; talk that is only a thing's name, as a sentence, belongs to the picture ("Jellyfish."), and
    so does what is to be visible ("so you can see the layers")."""
    before, words = text[: piece.start].rstrip(), text[piece.start : piece.end]
    is_sentence = (not before or before[-1] in ".!?\n") and (words[-1] in ".!" or piece.end == len(text))
    is_name = is_sentence and _THING.fullmatch(words) and not _SPEECH.search(words)
    is_seen = piece.kind in ("talk", "setting") and _SEEN.fullmatch(words)
    return replace(piece, kind="picture") if is_seen or (piece.kind == "talk" and is_name) else piece


def _with_first_name(text: str, pieces: list[Piece]) -> list[Piece]:
    """The pieces; a name that begins the message and the picture's first clause belongs to it: "Anansi the
    spider weaving a net"."""
    if len(pieces) < 2 or (pieces[0].kind, pieces[1].kind) != ("talk", "picture"):
        return pieces
    first = text[pieces[0].start : pieces[0].end]
    is_name = _FIRST_NAME.fullmatch(first) and not _SPEECH.search(first)
    return [Piece(pieces[0].start, pieces[1].end, "picture"), *pieces[2:]] if is_name else pieces


def _asked_name(text: str, piece: Piece) -> list[Piece]:
    """The piece; a name at the end of the asking belongs to the picture: "Draw Link" (in his blue tunic)."""
    hit = _VERB_AND_NAME.fullmatch(text[piece.start : piece.end]) if piece.kind == "ask" else None
    if hit is None:
        return [piece]
    middle = piece.start + hit.start("name")
    return [Piece(piece.start, middle - 1, "ask"), Piece(middle, piece.end, "picture")]


def _whole_foreign_clauses(text: str, pieces: list[Piece]) -> list[Piece]:
    """The pieces; a clause in another language belongs to the picture as a whole where a part of it does."""
    for start, end, _ in foreign_tags(text):
        overlapping = [piece for piece in pieces if piece.start < end and piece.end > start]
        if not any(piece.kind == "picture" for piece in overlapping):
            continue
        before = [replace(piece, end=min(piece.end, start)) for piece in pieces if piece.start < start]
        behind = [replace(piece, start=max(piece.start, end)) for piece in pieces if piece.end > end]
        pieces = [*before, Piece(start, end, "picture"), *behind]
    return pieces


def _join(text: str, picture_pieces: list[Piece], pieces: list[Piece], avoid: Sequence[str]) -> str:
    """The picture's pieces as one text; commas close the gaps.

    Clauses that only repeat an exclusion are dropped.
    """
    repetitions = {f"{article}{name.casefold()}" for name in avoid for article in ("", "a ", "an ", "the ")}
    prompt, last = "", -1
    for piece in picture_pieces:
        position = pieces.index(piece)
        words = text[piece.start : piece.end]
        if position != last + 1 or position == 0:
            words = _LEAD.sub("", words)
        if position and pieces[position - 1].kind == "avoid":
            words = _without_reason(words, avoid)
        if not has_words(words):
            continue
        if prompt and prompt[-1] not in ".!?,;:" and position != last + 1:
            prompt += ","
        words = _PLEA.sub("", words)
        prompt += (" " if prompt and words[0] not in ".!?,;:" else "") + words
        last = position
    prompt = ", ".join(
        clause
        for clause in re.split(r",\s+", prompt)
        if clause.strip(" .!").casefold() not in repetitions
        and not _DISLIKED.fullmatch(clause)
        and not _ALSO_FINE.fullmatch(clause)
    )
    prompt = _DANGLING_JOINT.sub(lambda hit: hit["end"], _without_doubts(prompt, avoid))
    if len(re.findall(r"[.!?](?=\s|$)", prompt)) == 1:
        prompt = prompt.rstrip(" ?")  # the question was the asking's
    prompt = re.sub(r"(?<!\?)\?++[.,]?+(?=\s|$)", ".", prompt) if "?" in prompt else prompt
    if prompt.count("(") != prompt.count(")"):
        prompt = re.sub(r"(?<!\s)\s*+[()]", lambda hit: " " if hit[0].startswith(" ") else "", prompt)
    return prompt.rstrip(" ,;:-–—")


def _without_reason(words: str, avoid: Sequence[str]) -> str:
    """The words behind an exclusion without a first sentence that names the same thing again: its reason."""
    first, _, rest = words.partition(". ")
    names = "|".join(re.escape(name) for name in avoid)
    is_reason = names and re.search(rf"\b(?:{names})\b", first, re.I) and _SOMEBODY.search(first)
    return rest if is_reason else words


def _without_doubts(prompt: str, avoid: Sequence[str]) -> str:
    """The description without clauses that propose ("on the roof maybe a cat") what is ruled out later."""
    if not avoid or not _MAYBE.search(prompt):
        return prompt
    name = re.compile(rf"\b(?:{'|'.join(map(re.escape, avoid))})\b", re.I)
    clauses = re.split(r"(?<=[.!?,])\s+", prompt)
    decided_clauses = [clause for clause in clauses if not (_MAYBE.search(clause) and name.search(clause))]
    return " ".join(decided_clauses) if any(map(has_words, decided_clauses)) else prompt


def _exclusion_names(words: str) -> tuple[str, ...]:
    """The names in a piece that excludes something."""
    names: list[str] = []
    for sentence in re.split(r"(?<=[.!?;])\s+", words.strip()):
        rest, sentence_names = exclusions(_JOINERS.sub("", sentence), is_spoken=True)
        names += sentence_names
        if sentence_names and (rest_of_list := _AND_MORE.fullmatch(rest)):
            names.append(rest_of_list["name"])
        if not sentence_names and (negation := _NAY.match(rest)):
            names += re.split(r"\s(?:or|and|nor)\s", negation["name"].strip())
    phrases = things(_VERB.sub("", _REASON.sub("", name)).strip() for name in names)
    return tuple(
        name
        for name in phrases
        if name.casefold() not in _NOTHING and not _FIRST.match(name) and len(name.split()) < 5
    )
