"""Pieces: what each word of a chat message is, by a linear-chain model over hashed features.

In: a message. Out: :class:`Piece` spans of one kind each, in order, that cover its words:

    "Hi! Could you draw me a fox in boots? No text please." ->
    talk "Hi!", ask "Could you draw me", picture "a fox in boots?", avoid "No text please."

Kinds: ``picture`` is to be seen, ``ask`` introduces it, ``talk`` is who asks and why, ``avoid`` is what shall
not be seen, ``setting`` is size, shape and count. The model (:class:`Tagger`) scores each word's kinds by the
words about it, its clause and its sentence, and each change of kind by what stands between two words; the
best path is taken. Fitted by ``diffagent train talk`` on messages that a language model wrote and labelled.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from diffagent.agent.shapes import FORMATS, SUBJECTS
from diffagent.agent.talk import ASK, PLEA, STORY
from diffagent.agent.wishes import setting_spans
from diffagent.data.errors import BadInput

Kind = Literal["picture", "ask", "talk", "avoid", "setting"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BITS = 15
"""Features are hashed into 2**BITS rows."""
JOINTS = ("inside", "joined", "comma", "dash", "ended")
"""What stands between two words: nothing, a word that joins clauses, a comma, a dash or colon, an end."""
_TOKEN = re.compile(r"\S+")
_CORE = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_LIST_OF_JOINTS = """
and because so but or where who which that with while although since cause cuz plus
"""
_JOINING = frozenset(_LIST_OF_JOINTS.split())
NAYS = re.compile(
    r"\b(?:no|not|without|w/o|nothing|nobody|none|never|avoid|skip|except|don['’]?t|dont|do not|"
    r"shouldn['’]?t|"
    r"mustn['’]?t|leave (?:out|off)|neither|nor|free of|instead of|rather than|hates?|minus|nope)\b",
    re.I,
)
_SELF = re.compile(r"\b(?:i|we|me|us|my|our|im|i['’]m|mine)\b", re.I)
_YOU = re.compile(r"\b(?:you|u|your|ya|ur|yourself)\b", re.I)
_PAST = re.compile(r"\b(?:was|were|had|did|used to|always|\w{3,}ed|last|ago|years?|said|told|says)\b", re.I)
SIZES = re.compile(
    r"\b(?:\d[\d.:x×]*|one|two|three|four|five|six|versions?|options?|variations?|copies|steps|seed|cfg|size|"
    r"format|portrait|landscape|square|upright|vertical|horizontal|wide|tall|ratio|resolution|pixels?|px|dpi|"
    r"room|space|empty|blank|margins?|top|bottom|left|right|print(?:ed|able)?|a[2-6]|postcard|"
    r"poster|wallpaper|"
    r"phone|desktop|banner|transparent|background|png|jpg|high[- ]res|big|small)\b",
    re.I,
)
_LOOKS = re.compile(
    r"\b(?:style|watercolou?r|oil|paint\w*|photo\w*|cartoon\w*|sketch\w*|ink|pencil|pastel|light|"
    r"lit|colou?rs?|"
    r"red|blue|green|yellow|orange|purple|pink|white|black|brown|grey|gray|gold\w*|silver|dark|"
    r"bright|warm|cold|"
    r"soft|sunset|sunrise|dusk|dawn|night|evening|morning|sky|wearing|wears|holding|sitting|standing|riding|"
    r"background|vintage|retro|anime|comic|realistic|drawing|illustration|moody|cozy|cosy)\b",
    re.I,
)
_FILE = "pieces.npz"
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """Words of one kind: characters ``start`` to ``end`` of the message."""

    start: int
    end: int
    kind: Kind


@dataclass(frozen=True)
class Token:
    """What stands between two blanks; ``word`` in lower case, ``joint`` is the index of what is before it."""

    start: int
    end: int
    word: str
    ending: str
    joint: int


def tokens(text: str) -> list[Token]:
    """The tokens of a message, in order."""
    found: list[Token] = []
    reached, ending = 0, "."
    for hit in _TOKEN.finditer(text):
        core = _CORE.search(hit[0])
        word = core[0].casefold().replace("’", "'") if core else hit[0]
        if (
            "\n" in text[reached : hit.start()]
            or ending in ".!?…"
            or (core is None and hit[0] not in "-–—&+")
        ):
            joint = 4
        elif ending in ":-–—(" or hit[0][0] in "-–—(":
            joint = 3
        elif ending in ",;":
            joint = 2
        else:
            joint = int(word in _JOINING)
        closing = hit[0].rstrip("\"'”’)*_~")[-1:]
        ending = closing if closing in ".!?…,;:-–—" and closing else " "
        found.append(Token(hit.start(), hit.end(), word, ending, joint))
        reached = hit.end()
    return found


def features(text: str, found: Sequence[Token]) -> list[Ints]:
    """The hashed features of each token of a message."""
    names = [[*one, *marks] for one, marks in zip(_names(found), _marks(text, found), strict=True)]
    return [np.array([zlib.crc32(name.encode()) % (1 << BITS) for name in one], np.int64) for one in names]


def _names(found: Sequence[Token]) -> Iterator[list[str]]:
    words = ["<", "<", *(one.word for one in found), ">", ">"]
    clauses, sentences = _runs(found, 1), _runs(found, 4)
    starts = sorted({start for start, _ in sentences})
    rank = {start: number for number, start in enumerate(starts)}
    for at, one in enumerate(found):
        before, word, after = words[at + 1], words[at + 2], words[at + 3]
        (low, high), (first, last) = clauses[at], sentences[at]
        clause = [token.word for token in found[low:high]]
        sentence = [token.word for token in found[first:last]]
        earlier = " ".join(token.word for token in found[max(0, low - 2) : low])
        place = min(rank[first], 3), len(starts) - 1 - rank[first] == 0
        yield [
            "bias",
            f"w0 {word}",
            f"w-1 {before}",
            f"w+1 {after}",
            f"w-2 {words[at]}",
            f"w+2 {words[at + 4]}",
            f"b-1 {before} {word}",
            f"b+1 {word} {after}",
            f"t {before} {word} {after}",
            f"s {word[-3:]}",
            f"p {word[:4]}",
            f"e {one.ending} {at - low == 0}",
            f"d {any(letter.isdigit() for letter in word)}",
            f"c0 {clause[0]}",
            f"c01 {' '.join(clause[:2])}",
            f"c012 {' '.join(clause[:3])}",
            f"ce {found[high - 1].ending}",
            f"cl {min(len(clause), 8)}",
            f"cb {earlier}",
            f"s0 {sentence[0]}",
            f"s01 {' '.join(sentence[:2])}",
            f"s012 {' '.join(sentence[:3])}",
            f"se {found[last - 1].ending}",
            f"sp {place}",
            f"sn {min(len(starts), 4)}",
            f"si {min(at - first, 6)}",
            *(f"c {other}" for other in dict.fromkeys(clause)),
            *(f"l {other}" for other in dict.fromkeys(sentence[: at - first])),
            *(f"r {other}" for other in dict.fromkeys(sentence[at - first + 1 :][:12])),
        ]


def _marks(text: str, found: Sequence[Token]) -> list[list[str]]:
    """What the rules know of each token: inside what they read, behind it, or beside it."""
    marks: list[list[str]] = [[] for _ in found]
    clauses, sentences = _runs(found, 1), _runs(found, 4)
    shapes = [hit.span() for _, pattern in (*FORMATS, *SUBJECTS) for hit in pattern.finditer(text)]
    spans = {
        "set": [*setting_spans(text), *shapes],
        "ask": [hit.span() for hit in ASK.finditer(text)],
        "no": [hit.span() for hit in NAYS.finditer(text)],
        "self": [hit.span() for hit in _SELF.finditer(text)],
        "you": [hit.span() for hit in _YOU.finditer(text)],
        "last": [hit.span() for hit in _PAST.finditer(text)],
        "size": [hit.span() for hit in SIZES.finditer(text)],
        "look": [hit.span() for hit in _LOOKS.finditer(text)],
    }
    for name, places in spans.items():
        held = [any(start < one.end and one.start < end for start, end in places) for one in found]
        for at in range(len(found)):
            (low, high), (first, last) = clauses[at], sentences[at]
            marks[at] += [f"m {name} {held[at]}"]
            marks[at] += [f"mc {name}"] * any(held[low:high]) + [f"mb {name}"] * any(held[low:at])
            marks[at] += [f"ms {name}"] * any(held[first:last]) + [f"mp {name}"] * any(held[first:at])
            marks[at] += [f"me {name}"] * any(held[:first]) + [f"mf {name}"] * any(held[last:])
    for low, high in dict.fromkeys((*clauses, *sentences)):
        words = text[found[low].start : found[high - 1].end].strip(" .,;:!?")
        for name, pattern in (("plea", PLEA), ("story", STORY)):
            if pattern.fullmatch(words):
                for at in range(low, high):
                    marks[at].append(f"m {name}")
    return marks


def _runs(found: Sequence[Token], least: int) -> list[tuple[int, int]]:
    """For each token the run that it is in: a run begins at a joint of at least ``least``."""
    edges = [at for at, one in enumerate(found) if at == 0 or one.joint >= least]
    runs: list[tuple[int, int]] = []
    for low, high in zip(edges, [*edges[1:], len(found)], strict=True):
        runs += [(low, high)] * (high - low)
    return runs


@dataclass(frozen=True)
class Tagger:
    """``weights`` [2**BITS, kinds] of hashed features; ``changes`` [joints, kinds, kinds] from a word's kind
    to the next one's."""

    weights: Floats
    changes: Floats

    def __call__(self, text: str) -> list[Piece]:
        """The pieces of a message."""
        found = tokens(text)
        if not found:
            return []
        path = self.path(text, found)
        edges = [0, *(at for at in range(1, len(found)) if path[at] != path[at - 1]), len(found)]
        return [
            Piece(found[low].start, found[high - 1].end, KINDS[path[low]]) for low, high in pairwise(edges)
        ]

    def path(self, text: str, found: Sequence[Token]) -> list[int]:
        """The most probable kinds of the tokens, by their indices (Viterbi)."""
        scores = np.stack([self.weights[rows].sum(axis=0) for rows in features(text, found)])
        best, back = scores[0], []
        for at in range(1, len(found)):
            ways = best[:, None] + self.changes[found[at].joint]
            back.append(ways.argmax(axis=0))
            best = ways.max(axis=0) + scores[at]
        path = [int(best.argmax())]
        for came in reversed(back):
            path.append(int(came[path[-1]]))
        return path[::-1]

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """From an ``.npz`` file; by default the one that ships.

        Raises:
            BadInput: it is no such file, or was fitted for other kinds than this version has.
        """
        from importlib.resources import files

        source = path or Path(str(files("diffagent.agent") / "default" / _FILE))
        try:
            with np.load(source, allow_pickle=False) as stored:
                if stored["kinds"].tolist() != list(KINDS) or len(stored["weights"]) != 1 << BITS:
                    raise BadInput(f"{source} was fitted for other kinds: run diffagent train talk again")
                weights = stored["weights"].astype(np.float32) * stored["scale"]
                return cls(weights, stored["changes"].astype(np.float32))
        except (OSError, KeyError, ValueError) as error:
            raise BadInput(
                f"{source} is no tagger of pieces ({type(error).__name__}: {error}): "
                "make one with diffagent train talk"
            ) from None

    def save(self, path: Path) -> None:
        """Weights as int8 in steps of the largest."""
        scale = np.float32(max(np.abs(self.weights).max(initial=0.0), 1e-6) / 127)
        steps = np.rint(self.weights / scale).astype(np.int8)
        np.savez_compressed(
            path, kinds=np.array(KINDS), weights=steps, scale=scale, changes=self.changes.astype(np.float16)
        )


@cache
def tagger() -> Tagger:
    """The one that ships."""
    return Tagger.load()
