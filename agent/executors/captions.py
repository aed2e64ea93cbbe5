"""Captions: text of any script below a picture, each letter in this machine's first font that has it.

    captions = Captions(fonts_here())
    lines = captions.wrapped("a fox, лиса, キツネ", 256, 4)
    captions.draw(pen, (8, 8), lines[0])         # captions.lacking: the scripts that no font has

Words wrap at blanks, and between the characters of scripts without blanks. Pillow (with Raqm) shapes a run
and sets its direction. A character that no font has is drawn as an empty box.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

SIZE, LEADING = 13, 17
"""Height of the letters and of a line, in pixels."""
_USUAL = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf", "LiberationSans-Regular.ttf")
"""Fonts that are tried first; most machines have one of them."""
_FANCY = re.compile(r"bold|italic|oblique|condensed|mono|serif|light|black|thin|math|emoji|medium", re.I)
_UNSPACED = re.compile(r"[\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef\u0e00-\u0eff\u1780-\u17ff]")
"""Scripts without blanks between words; Korean has some, and may break anywhere too."""
_NOWHERE = "\U0010ffff"
"""A character that no font has: a font draws it as it draws any character that it lacks."""

Run = tuple[str, Any]
"""A text and the font that has it."""


def fonts_here(folders: Sequence[Path] | None = None) -> list[Path]:
    """Returns the font files of folders, by default this machine's, plain ones first."""
    files = (
        Path(folder, name)
        for top in (_folders() if folders is None else folders)
        for folder, _, names in os.walk(top)
        for name in names
        if name.lower().endswith((".ttf", ".otf", ".ttc"))
    )
    return sorted(files, key=lambda path: (path.name not in _USUAL, bool(_FANCY.search(path.name)), path))


def _folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        windows = Path(os.environ.get("WINDIR", "C:/Windows"))
        return [windows / "Fonts", home / "AppData/Local/Microsoft/Windows/Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    return [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts"]


class Captions:
    """Wraps and draws texts with the fonts of some files.

    Attributes:
        lacking: the scripts, as Unicode names them ("THAI"), of the letters that no font has.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = iter(files)
        self._fonts: list[Any] = []
        self.lacking: set[str] = set()
        self._font_of = lru_cache(4096)(self._first_font)

    def wrapped(self, text: str, width: int, most: int) -> list[str]:
        """Returns a text in at most ``most`` lines of ``width`` pixels; an ellipsis ends a shortened text."""
        lines = [""]
        for piece in _pieces(" ".join(text.split())):
            if lines[-1] and self._length(lines[-1] + piece.rstrip()) > width:
                lines[-1] = lines[-1].rstrip()
                lines.append("")
            lines[-1] += piece
        if len(lines) > most:
            lines = [*lines[: most - 1], lines[most - 1] + "…"]
        return [self._cut(line.rstrip(), width) for line in lines]

    def draw(self, pen: ImageDraw, place: tuple[int, int], line: str) -> None:
        """Draws one line in black, its upper left corner at ``place``."""
        x = float(place[0])
        for text, font in self._runs(line):
            pen.text((x, place[1] + SIZE), text, fill="black", font=font, anchor="ls")
            x += font.getlength(text)

    def _cut(self, line: str, width: int) -> str:
        """Returns a line shortened to the width, even inside a word."""
        if self._length(line) <= width:
            return line
        end = len(line) - 1
        while end and self._length(line[:end] + "…") > width:
            end -= max(1, end // 16)
        return line[:end] + "…"

    def _length(self, line: str) -> float:
        return sum(float(font.getlength(text)) for text, font in self._runs(line))

    def _runs(self, line: str) -> Iterator[Run]:
        """Yields the line in pieces of one font each; marks and blanks follow the character before them."""
        fonts: list[Any] = []
        for character in line:
            is_mark = unicodedata.category(character) in ("Mn", "Mc", "Cf")
            follows = bool(fonts) and (is_mark or character == " ")
            fonts.append(fonts[-1] if follows else self._font_of(character))
        for _, group in groupby(zip(line, fonts, strict=True), key=lambda pair: id(pair[1])):
            pairs = list(group)
            yield "".join(character for character, _ in pairs), pairs[0][1]

    def _first_font(self, character: str) -> Any:
        """Returns the first font that has a character; the very first font where none has it."""
        font = next((font for font in self._open_fonts() if _has(font, character)), None)
        if font is None and character.isalpha():
            self.lacking.add(unicodedata.name(character, "UNNAMED").split(" ")[0].split("-")[0])
        return font or next(self._open_fonts())

    def _open_fonts(self) -> Iterator[Any]:
        """Yields the fonts, each opened on first use, and Pillow's own last."""
        from PIL import ImageFont

        yield from self._fonts
        for path in self._files:
            try:
                font = ImageFont.truetype(path, SIZE)
            except (OSError, ValueError):  # bitmaps of another size, damaged files
                continue
            self._fonts.append(font)
            yield font
        yield _own_font()


@lru_cache(1)
def _own_font() -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(SIZE)


def _has(font: Any, character: str) -> bool:
    try:
        mask, nothing = font.getmask(character), font.getmask(_NOWHERE)
    except (OSError, ValueError):
        return False
    return (mask.size, bytes(mask)) != (nothing.size, bytes(nothing))


def _pieces(text: str) -> Iterator[str]:
    """Yields the parts of a text between which a line may break."""
    start = 0
    for place in range(1, len(text)):
        before, after = text[place - 1], text[place]
        marks = unicodedata.category(after) in ("Mn", "Mc", "Po", "Pe")
        if before == " " or (_UNSPACED.match(before) and not marks and after != " "):
            yield text[start:place]
            start = place
    yield text[start:]
