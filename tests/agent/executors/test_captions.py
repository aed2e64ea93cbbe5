"""Captions: wrapped, cut, and drawn by fonts that have the letters; contact sheets of a folder."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib
import pytest
from image_runs import make
from image_servers import FakeA1111, picture, serving
from PIL import Image, ImageDraw
from target_calls import INK_FOX, call_of

from diffagent.agent.executors import images
from diffagent.agent.executors.captions import Captions, fonts_here
from diffagent.agent.targets import generation
from diffagent.data.catalog.catalog import Catalog

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
SANS, SYMBOLS = FONTS / "DejaVuSans.ttf", FONTS / "STIXGeneral.ttf"


def inked(captions: Captions, line: str, size: tuple[int, int] = (300, 20)) -> Image.Image:
    sheet = Image.new("RGB", size, "white")
    captions.draw(ImageDraw.Draw(sheet), (2, 2), line)
    return sheet


def test_words_wrap_and_what_is_left_over_ends_in_an_ellipsis() -> None:
    captions = Captions([SANS])
    lines = captions.wrapped("a fox in the snow,\n pixel   art, at night", 100, 3)
    assert lines == ["a fox in the", "snow, pixel art,", "at night"]
    assert captions.wrapped("a fox in the snow, pixel art, at night", 100, 1) == ["a fox in the…"]
    (line,) = captions.wrapped("x" * 500, 100, 3)
    assert line.endswith("x…")
    assert len(line) < 20
    assert captions.wrapped("", 100, 3) == [""]


def test_scripts_without_blanks_break_between_their_letters_but_not_before_marks() -> None:
    captions = Captions([SANS])  # draws a box of one width for each
    lines = captions.wrapped("雪の中の狐、雪の中の狐、雪の中の狐、", 100, 9)
    assert "".join(lines) == "雪の中の狐、雪の中の狐、雪の中の狐、"
    assert len(lines) > 1
    assert not any(line.startswith("、") for line in lines)
    assert captions.lacking == {"CJK", "HIRAGANA"}


@pytest.mark.parametrize("text", ["лиса", "αλεπού", "ثعلب", "שועל", "աղվես", "მელა"])
def test_letters_of_many_scripts_are_drawn_by_a_font_that_has_them(text: str) -> None:
    captions = Captions([SANS])
    drawn = inked(captions, text)
    assert not captions.lacking
    boxes = inked(captions, "\U0010ffff" * len(text))
    assert drawn.tobytes() != boxes.tobytes()
    assert drawn.tobytes() == inked(Captions([SYMBOLS.with_name("gone.ttf"), SANS]), text).tobytes()


def test_a_letter_comes_from_the_first_font_that_has_it() -> None:
    """⟰ and ש are in one of two fonts each; the others of a line stay with the first font."""
    only = inked(Captions([SANS]), "a ש")
    assert inked(Captions([SYMBOLS, SANS]), "ש").tobytes() == inked(Captions([SANS]), "ש").tobytes()
    assert inked(Captions([SYMBOLS, SANS]), "a ש").tobytes() != only.tobytes()  # its own a


def test_a_machine_without_fonts_has_pillows() -> None:
    captions = Captions([])
    assert inked(captions, "a fox").getextrema() != inked(captions, "").getextrema()
    captions.wrapped("a fox, лиса", 300, 1)
    assert captions.lacking == {"CYRILLIC"}


def test_plain_fonts_go_first(tmp_path: Path) -> None:
    for name in ("b/Bold/Zen-Bold.ttf", "b/Zen-Regular.OTF", "a/Ahem.ttc", "a/note.txt", "z/DejaVuSans.ttf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = ["DejaVuSans.ttf", "Ahem.ttc", "Zen-Regular.OTF", "Zen-Bold.ttf"]
    assert [path.name for path in fonts_here([tmp_path, tmp_path / "gone"])] == names
    assert inked(Captions(fonts_here([tmp_path])), "a").getextrema()  # none of them is a font


def test_the_folders_sheet_shows_its_pictures_with_what_they_say(catalog: Catalog, tmp_path: Path) -> None:
    long = call_of(INK_FOX, prompt=", ".join(["a fox in the snow beside a frozen lake"] * 30))
    with serving(FakeA1111()) as url:
        generation.generate(long, tmp_path, "a1111", catalog, url=url, seeds=(1, 2))
        with Image.open(tmp_path / images.SHEET) as sheet:
            one_run = sheet.size
        generation.generate(call_of(INK_FOX), tmp_path, "a1111", catalog, url=url, seeds=(5,))
    assert one_run == (2 * 256 + 3 * 8, 64 + 17 * (1 + 2 + 4) + 2 * 8)
    (tmp_path / "note.png").write_bytes(picture(1))
    with (tmp_path / images.MANIFEST).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"file": "gone.png"}) + '\n{"file": "note.png"}\nnot ours\n')
    assert images.draw_sheet(tmp_path) == ()
    with Image.open(tmp_path / images.SHEET) as sheet:  # three pictures in two rows, with the first run's
        assert sheet.size == (2 * 256 + 3 * 8, 2 * (64 + 17 * 7 + 8) + 8)
        colours = [sheet.getpixel((8 + 32 + 264 * (n % 2), 8 + 32 + 191 * (n // 2))) for n in range(4)]
    assert colours[3] == (255, 255, 255)
    assert len(set(colours)) == 4


def test_scripts_that_no_font_has_are_said(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "fonts_here", lambda: [SANS])
    messages: list[str] = []
    with serving(FakeA1111()) as url:
        generation.generate(
            call_of(INK_FOX, prompt="雪の中の狐"), tmp_path, "a1111", catalog, url=url,
            report=lambda what, _: messages.append(what),
        )  # fmt: skip
    assert messages[-1].startswith(
        "no font for the captions of contact-sheet.png: Cjk, Hiragana: install one"
    )


def test_a_folder_that_vanished_has_no_sheet(tmp_path: Path) -> None:
    assert images.draw_sheet(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_pictures_alone_make_no_sheet_of_their_own(catalog: Catalog, tmp_path: Path) -> None:
    make("a1111", FakeA1111(), tmp_path, catalog)
    assert not (tmp_path / images.SHEET).exists()
