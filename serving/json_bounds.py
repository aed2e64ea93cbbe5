"""Bounds of JSON from outside, checked on its bytes before anything is built from them.

In: a JSON text in UTF-8. Out: nothing, or :class:`~diffagent.data.errors.BadInput` that names the bound. A
million small values take 8 MB as text and gigabytes as objects, so a bound on bytes alone does not suffice.
Whether the text is JSON is the parser's business; what it would build before it fails is counted here too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from diffagent.data.errors import BadInput

_PIECE = 65_536
"""The most bytes that one step reads; other threads run between steps."""
_BLANKS = re.compile(rb"[\s:]{1,%d}+" % _PIECE)
_SCALAR = re.compile(rb'[^\s,:\[\]{}"]{1,%d}+' % _PIECE)
_ESCAPED = re.compile(rb'[^"\\]{0,%d}+(?:\\.[^"\\]{0,%d}+){0,%d}+' % (_PIECE, _PIECE, _PIECE // 4), re.S)


@dataclass(frozen=True)
class JsonBounds:
    """The limits of one text.

    ``values`` includes the names of members; ``members`` are those of one object; ``string`` and ``number``
    are the bytes of the longest one as written.
    """

    values: int = 50_000
    depth: int = 64
    members: int = 1_000
    string: int = 2**18
    number: int = 400

    def check(self, text: bytes, what: str = "the body") -> None:
        """Check a text in one pass; the work in Python grows with ``values``, not with its bytes.

        Raises:
            BadInput: a bound is exceeded, or the text holds a NUL, as UTF-16 does.
        """
        if b"\0" in text:
            raise BadInput(f"{what} holds a NUL: send JSON in UTF-8")
        position, values, end = 0, 0, len(text)
        commas: list[int] = []  # one count for each open array or object
        while position < end:
            mark = text[position]
            if mark in b" \t\r\n:\f\v":
                position = _end(_BLANKS, text, position)
                continue
            if mark in b"]}" or mark == 0x2C:  # a comma
                if not commas:
                    return  # outside of any array: not JSON from here on
                position += 1
                if mark == 0x2C:
                    commas[-1] += 1
                    self._check_commas(commas[-1], what)
                elif commas.pop() >= self.members and mark == 0x7D:
                    raise BadInput(f"{what} holds an object of more than {self.members:,} members")
                continue
            values += 1
            if values > self.values:
                raise self._too_many(what)
            if mark in b"[{":
                position += 1
                commas.append(0)
                if len(commas) > self.depth:
                    raise BadInput(f"{what} is nested deeper than {self.depth} levels: flatten it")
            elif mark == 0x22:  # a quote
                position = self._string_end(text, position + 1, what)
            else:
                position = self._number_end(text, position, what)

    def _check_commas(self, commas: int, what: str) -> None:
        if commas >= self.values:
            raise self._too_many(what)

    def _too_many(self, what: str) -> BadInput:
        return BadInput(f"{what} holds more than {self.values:,} values: send fewer")

    def _number_end(self, text: bytes, start: int, what: str) -> int:
        end = _end(_SCALAR, text, start)
        if end - start > self.number:
            raise BadInput(f"{what} holds a number of more than {self.number} digits: shorten it")
        return end

    def _string_end(self, text: bytes, start: int, what: str) -> int:
        """The position behind a string's closing quote; the text's end if there is none."""
        last = min(len(text), start + self.string + 1)
        position = text.find(b'"', start, last)
        if position < 0 or text.find(b"\\", start, position) >= 0:
            position = start
            while position < last and text[position] != 0x22:
                run = _ESCAPED.match(text, position, last)
                assert run is not None
                if run.end() == position:
                    position = last  # a backslash that the bound cuts off
                position = max(position, run.end())
        if position >= last and last - start > self.string:
            raise BadInput(f"{what} holds a text of more than {self.string:,} bytes: shorten it")
        return position + 1


def _end(pattern: re.Pattern[bytes], text: bytes, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start + 1
