"""Fused constrained decoding: a grammar and a model's logits go in, the answer's text comes out.

At a position where the grammar allows several tokens t after the prefix x, the answer takes

    argmax_t  w · log p_llm(t | x, t legal)  +  log p_prior(t)

where the prior of a token is that of the best answer through it, so that with w = 0 the answer is the most
probable one (a sum over answers would favour tokens that many poor options share). Legal are the tokens that
begin the tokenizer's own spelling of an option. What the grammar forces costs no forward pass.

A draft of the rest is only a guess: it goes through the model together with what must, so that the logits of
later positions are there already wherever it proves right. It never changes the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from diffagent.agent.engines.grammar import Grammar
from diffagent.data.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from diffagent.agent.engines.chat import Chat

WINDOW = 64
"""Bytes of text that decide its first token; tokenizers split at words long before."""

KNOWN_TEXTS = 1 << 16
"""Texts whose first token is remembered: a grammar over a whole catalog asks for the same ones every time."""

NONE = -1
"""No token."""

Guess = Callable[[], list[int]]
Score = Callable[[list[int], list[int], Guess], "NDArray[np.float32]"]
"""``score(done, tokens, guess)``: logits of ``tokens`` as the next one after the answer's tokens ``done``.
``guess()`` gives tokens that probably follow ``done``."""
Read = Callable[[list["Place"]], Sequence["NDArray[np.float32]"]]
"""For each place the logits of its tokens."""


class Vocabulary:
    """The tokenizer as llguidance sees it: inside a text, where SentencePiece adds no space. What is trained,
    asked for and written is cut by it, so that a label is the same token in all three."""

    def __init__(self, chat: Chat) -> None:
        from llguidance import LLTokenizer

        self._tokenizer = LLTokenizer(chat.source, eos_token=chat.end_ids[0], slices=[])
        self.end = chat.end_ids[0]
        self._first_token = lru_cache(KNOWN_TEXTS)(self._cut)

    def matcher(self, grammar: Grammar) -> Any:
        """A matcher at the start of ``grammar``. Raises :class:`EngineError` where it does not compile."""
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(grammar.to_lark()), log_level=0)
        if matcher.is_error():
            reason = " ".join(matcher.get_error().split())[:200]
            raise EngineError(f"the request's grammar does not compile: {reason}")
        return matcher

    def legal(self, matcher: Any) -> frozenset[int]:
        """The tokens that may follow."""
        import numpy as np

        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        if matcher.is_error():
            raise EngineError(f"constrained decoding failed: {' '.join(matcher.get_error().split())[:200]}")
        return frozenset(np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist())

    def encode(self, text: str) -> list[int]:
        """Token ids of the beginning of an answer."""
        return list(self._tokenizer.tokenize_bytes(text.encode("utf-8", "replace")))

    def label_ids(self, options: Sequence[str]) -> list[int]:
        """The one token of each option.

        Raises:
            EngineError: an option has several, or two have the same.
        """
        labels = [self.encode(option) for option in options]
        if len({tuple(label) for label in labels}) != len(labels) or any(len(label) != 1 for label in labels):
            raise EngineError(
                f"the options {list(options)} are not one different token each; use labels such as A, B"
            )
        return [label[0] for label in labels]

    def text(self, tokens: Sequence[int]) -> bytes:
        return bytes(self._tokenizer.decode_bytes(list(tokens)))

    def begins(self, token: int, text: bytes) -> bool:
        """Whether ``token`` may be the first of ``text``; the end token begins no text at all."""
        return not text if token == self.end else text.startswith(self.text([token]))

    def first_token(self, text: bytes) -> int:
        """The token that begins ``text``; the end token where there is none."""
        return self._first_token(text[:WINDOW])

    def _cut(self, text: bytes) -> int:
        tokens = self._tokenizer.tokenize_bytes(text)
        return int(tokens[0]) if tokens else self.end


@dataclass(frozen=True, eq=False)
class Place:
    """An open place behind the answer's tokens ``done``: several are legal, each with its log-prior."""

    done: tuple[int, ...]
    priors: Mapping[int, float]
    guess: Guess

    def best(self, weight: float, logits: NDArray[np.float32]) -> int:
        """The token to take; ``logits`` are those of the keys of ``priors``, up to a constant."""
        return best(weight, self.priors, logits)


def places(grammar: Grammar, vocabulary: Vocabulary, draft: str = "") -> Generator[Place, int, str]:
    """The open places of one answer: a place comes out, its token goes in, at the end the answer returns.

    Where the model's word has no weight the priors decide, and no place is open.

    Raises:
        EngineError: the grammar does not compile, or the vocabulary cannot spell an answer of it.
    """
    matcher = vocabulary.matcher(grammar)
    done: list[int] = []
    while not matcher.is_stopped():
        tokens = forced(matcher)
        if not tokens:
            priors = legal_priors(grammar, vocabulary, vocabulary.legal(matcher), vocabulary.text(done))
            tokens = [max(priors, key=lambda token: priors[token])]
            if len(priors) > 1 and grammar.llm_weight:
                guess = partial(_guess, grammar, vocabulary, matcher, done, draft)
                tokens = [(yield Place(tuple(done), priors, guess))]
        if tokens[0] == vocabulary.end:
            break
        if not matcher.consume_tokens(tokens):
            raise EngineError(f"constrained decoding failed: {' '.join(matcher.get_error().split())[:200]}")
        done += tokens
    answer = vocabulary.text(done).decode("utf-8", "replace")
    grammar.parse(answer)
    return answer


def write(grammar: Grammar, vocabulary: Vocabulary, score: Score, draft: str = "") -> str:
    """Decode one answer; see the module's first lines. Raises :class:`EngineError`."""
    walk = places(grammar, vocabulary, draft)
    try:
        place = next(walk)
        while True:
            logits = score(list(place.done), list(place.priors), place.guess)
            place = walk.send(place.best(grammar.llm_weight, logits))
    except StopIteration as end:
        return str(end.value)


def verify(grammar: Grammar, vocabulary: Vocabulary, read: Read, draft: str = "") -> str:
    """Decode one answer with few questions: all open places of the expected answer are read at once, and
    again from the first at which it proves wrong. The same answer as :func:`write`.

    Raises:
        EngineError: see :func:`places`.
    """
    known: dict[tuple[int, ...], int] = {}
    while True:
        asked: dict[Place, int] = {}
        walk = places(grammar, vocabulary, draft)
        try:
            place = next(walk)
            while True:
                token = known.get(place.done)
                if token is None:
                    token = asked[place] = _expected(place, vocabulary, draft)
                place = walk.send(token)
        except StopIteration as end:
            if not asked:
                return str(end.value)
        for (place, expected), logits in zip(asked.items(), read(list(asked)), strict=True):
            known[place.done] = place.best(grammar.llm_weight, logits)
            if known[place.done] != expected:
                break


def _expected(place: Place, vocabulary: Vocabulary, draft: str) -> int:
    """The draft's token at a place, or the most probable one by the priors where the draft does not hold."""
    prefix, whole = vocabulary.text(place.done), draft.encode("utf-8", "replace")
    token = vocabulary.first_token(whole[len(prefix) :]) if whole.startswith(prefix) else NONE
    return token if token in place.priors else max(place.priors, key=lambda one: place.priors[one])


def spell(grammar: Grammar, vocabulary: Vocabulary, answer: str) -> list[int]:
    """The tokens in which :func:`write` writes ``answer``: what a model that writes so is trained on.

    Raises:
        EngineError: the answer is outside the grammar.
    """
    grammar.parse(answer)
    whole = answer.encode()
    tokens = _walk(vocabulary, vocabulary.matcher(grammar), b"", whole)
    if vocabulary.text(tokens) != whole:
        raise EngineError(f"the model's vocabulary cannot spell the answer {answer[:80]!r}")
    return tokens


def forced(matcher: Any) -> list[int]:
    """The tokens that must follow."""
    tokens: list[int] = matcher.compute_ff_tokens()
    # llguidance takes the name of a special token in forced text for the token, which its own grammar refuses
    return tokens[: matcher.validate_tokens(tokens)]


def legal_priors(
    grammar: Grammar, vocabulary: Vocabulary, legal: frozenset[int], prefix: bytes
) -> dict[int, float]:
    """Legal token behind the text ``prefix`` → log-prior of the best answer through it."""
    priors: dict[int, float] = {}
    for prior, answer in grammar.branches(prefix):
        rest = answer[len(prefix) :]
        token = vocabulary.first_token(rest)
        if token not in legal or not vocabulary.begins(token, rest):
            token = _longest(vocabulary, legal, rest)
        if token != NONE:
            priors[token] = max(prior, priors.get(token, -math.inf))
    if not priors:
        raise EngineError(f"the model's vocabulary cannot spell the rest of the answer {prefix[-80:]!r}")
    return priors


def _longest(vocabulary: Vocabulary, legal: frozenset[int], rest: bytes) -> int:
    """The longest legal token that begins ``rest``, where the tokenizer's own first one is not legal: behind
    half a character, or at a special token's name; or NONE."""
    fitting = [token for token in legal if vocabulary.begins(token, rest)]
    return max(fitting, key=lambda token: len(vocabulary.text([token])), default=NONE)


def normalised(logits: NDArray[np.float32]) -> list[float]:
    """Log-probabilities over the given logits alone."""
    import numpy as np

    scores = logits.astype(np.float64)
    scores -= scores.max()
    return list(map(float, scores - np.log(np.exp(scores).sum())))


def best(weight: float, priors: Mapping[int, float], logits: NDArray[np.float32]) -> int:
    """The token of greatest fused score; ``logits`` are those of the keys of ``priors``."""
    import numpy as np

    scores = weight * np.array(normalised(logits)) + np.array(list(priors.values()))
    return list(priors)[int(np.argmax(scores))]


def _guess(grammar: Grammar, vocabulary: Vocabulary, matcher: Any, done: list[int], draft: str) -> list[int]:
    """Tokens that probably follow ``done``: the draft's, or those of the grammar's most probable rest.

    Walks a copy of the matcher as :func:`write` walks it, so that forced text is cut into the same tokens,
    and stops behind the last open place: what is forced from there needs no logits.
    """
    matcher = matcher.deep_copy()
    prefix, whole = vocabulary.text(done), draft.encode("utf-8", "replace")
    if not whole.startswith(prefix):
        whole = max(grammar.branches(prefix), default=(0.0, b""))[1]
    return _walk(vocabulary, matcher, prefix, whole.removesuffix(grammar.tail.encode()))


def _walk(vocabulary: Vocabulary, matcher: Any, prefix: bytes, whole: bytes) -> list[int]:
    """The tokens from ``prefix``, where the matcher stands, to the end of ``whole``, as written."""
    found: list[int] = []
    while len(prefix) < len(whole) and not matcher.is_stopped():
        tokens = forced(matcher)
        if not tokens:
            rest = whole[len(prefix) :]
            tokens = [vocabulary.first_token(rest)]
            if not matcher.validate_tokens(tokens) or not vocabulary.begins(tokens[0], rest):
                tokens = [_longest(vocabulary, vocabulary.legal(matcher), rest)]
        if NONE in tokens or not matcher.consume_tokens(tokens):
            break
        found += tokens
        prefix += vocabulary.text(tokens)
    return found
