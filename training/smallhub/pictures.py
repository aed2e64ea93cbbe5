"""Pictures of the same subjects in four hands and four styles, from emoji sets of the npm registry.

    npm pack @iconify-json/… → SVG → resvg → 32 × 32 pixels → styles

Sets and licences: noto (Apache-2.0), twemoji (CC-BY-4.0), fluent-emoji-flat (MIT), fxemoji (Apache-2.0).
Only what is rendered into the working folder is kept of them.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diffagent.data.errors import BadInput, MissingExtra

HANDS = {
    "noto": "@iconify-json/noto",
    "twemoji": "@iconify-json/twemoji",
    "fluent": "@iconify-json/fluent-emoji-flat",
    "fxemoji": "@iconify-json/fxemoji",
}
CATEGORIES = ("Animals & Nature", "Food & Drink", "Objects", "Travel & Places", "Activities")
STYLES = ("pixel art", "line drawing", "watercolor", "neon night")
PLAIN = "plain"
SIDE = 32
_LARGE = 128
_XML = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pictures:
    """The pictures: ``pixels`` uint8 [hands, styles (plain first), subjects, 3, 32, 32]."""

    subjects: tuple[str, ...]
    pixels: Pixels

    @property
    def styles(self) -> tuple[str, ...]:
        return (PLAIN, *STYLES)

    def save(self, path: Path) -> None:
        np.savez_compressed(path, subjects=np.array(self.subjects), pixels=self.pixels)

    @classmethod
    def read(cls, path: Path) -> Pictures:
        with np.load(path, allow_pickle=False) as stored:
            return cls(tuple(stored["subjects"].tolist()), stored["pixels"])


def fetch(folder: Path) -> dict[str, Path]:
    """The emoji sets' packages by hand, fetched by npm where they are missing.

    Raises:
        MissingExtra: npm is not installed. BadInput: npm cannot fetch a package.
    """
    folder.mkdir(parents=True, exist_ok=True)
    packages = {}
    for hand, package in HANDS.items():
        stem = package.removeprefix("@").replace("/", "-")
        if not sorted(folder.glob(f"{stem}-[0-9]*.tgz")):
            if shutil.which("npm") is None:
                raise MissingExtra("the small hub draws with emoji sets of npm packages: install npm")
            ran = subprocess.run(
                ["npm", "pack", package, "--silent"], cwd=folder, capture_output=True, text=True, check=False
            )
            if ran.returncode:
                raise BadInput(f"npm cannot fetch {package}: {' '.join(ran.stderr.split())[:200]}")
        packages[hand] = sorted(folder.glob(f"{stem}-[0-9]*.tgz"))[-1]
    return packages


def draw(packages: Mapping[str, Path], most: int | None = None) -> Pictures:
    """The pictures of every subject that all sets have, in every hand and style."""
    sets = {hand: _read(path) for hand, path in packages.items()}
    subjects = shared_subjects(sets, _categories(next(iter(packages.values()))))[:most]
    plain = {hand: [render(icons, name) for name in subjects] for hand, icons in sets.items()}
    pixels = np.stack(
        [
            np.stack(
                [
                    np.stack([apply_style(picture, style) for picture in plain[hand]])
                    for style in (PLAIN, *STYLES)
                ]
            )
            for hand in packages
        ]
    )
    return Pictures(tuple(name.replace("-", " ") for name in subjects), pixels)


def shared_subjects(sets: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """The ``names`` that every set draws, in alphabetical order."""
    common = set(names)
    for icons in sets.values():
        common &= set(icons["icons"]) | set(icons.get("aliases", {}))
    return sorted(common)


def render(icons: Mapping[str, Any], name: str) -> Pixels:
    """An icon on white in RGB, 128 pixels a side: uint8 [128, 128, 3]."""
    from PIL import Image

    try:
        import resvg_py
    except ImportError:
        raise MissingExtra("the small hub renders SVG with resvg-py: pip install resvg-py") from None
    while name not in icons["icons"]:
        name = icons["aliases"][name]["parent"]
    icon = icons["icons"][name]
    wide, tall = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    svg = f'<svg {_XML} viewBox="0 0 {wide} {tall}" width="{_LARGE}" height="{_LARGE}">{icon["body"]}</svg>'
    png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=_LARGE, height=_LARGE))
    image = Image.open(io.BytesIO(png)).convert("RGBA")
    paper = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(paper, image).convert("RGB").resize((_LARGE, _LARGE)))


def apply_style(picture: Pixels, style: str) -> Pixels:
    """A picture [128, 128, 3] in a style: uint8 [3, 32, 32]."""
    from PIL import Image, ImageChops, ImageFilter, ImageOps

    image = Image.fromarray(picture)
    if style == "pixel art":
        coarse = image.resize((10, 10), Image.Resampling.BOX).quantize(8).convert("RGB")
        image = coarse.resize((_LARGE, _LARGE), Image.Resampling.NEAREST)
    elif style == "line drawing":
        thick = _edges(image).filter(ImageFilter.MaxFilter(5)).point(lambda value: 255 if value > 60 else 0)
        image = ImageOps.invert(thick).convert("RGB")
    elif style == "watercolor":
        soft = image.filter(ImageFilter.ModeFilter(9)).filter(ImageFilter.GaussianBlur(4))
        image = Image.blend(soft, Image.new("RGB", soft.size, (250, 240, 220)), 0.35)
    elif style == "neon night":
        glow = ImageOps.autocontrast(
            _edges(image).filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.GaussianBlur(2))
        )
        lines = ImageOps.colorize(glow, (12, 10, 40), (60, 255, 230), (220, 40, 200))
        image = ImageChops.lighter(lines, Image.new("RGB", lines.size, (12, 10, 40)))
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.uint8).transpose(2, 0, 1)


def _edges(image: Any) -> Any:
    """The edges of a picture's brightness, 0 to 255, without its margin."""
    from PIL import ImageFilter, ImageOps

    return ImageOps.autocontrast(image.convert("L").filter(ImageFilter.FIND_EDGES).crop((2, 2, 126, 126)))


def _read(package: Path) -> Mapping[str, Any]:
    icons: Mapping[str, Any] = _member(package, "package/icons.json")
    return icons


def _categories(package: Path) -> list[str]:
    listed = _member(package, "package/metadata.json")["categories"]
    return [name for category in CATEGORIES for name in listed.get(category, [])]


def _member(package: Path, name: str) -> Any:
    with tarfile.open(package) as archive:
        stream = archive.extractfile(name)
        assert stream is not None
        return json.load(stream)
