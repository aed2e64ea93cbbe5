"""Sizes: the width and height to make a picture with, in pixels.

In: the counts of a model's sizes, its base model's row, a request's wishes. Out: sizes with their weights,
the most plausible ones heaviest. By default they are those of the base model's table; requested sizes are
kept, and so are ratios, to within 5 %.

    size_for((16, 9), find("SDXL 1.0"))     (1344, 768)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from diffagent.agent.asking.shapes import orientation
from diffagent.agent.asking.wishes import Wishes
from diffagent.data.base_models import USUAL, BaseModelFacts
from diffagent.data.records import SIDE_MAX, SIDE_MIN, SIDE_STEP, Counts, legal_side

Size = tuple[int, int]

AGREEING = 5
"""The fewest images whose settings count as the model's own: fewer are one uploader's taste."""
SMALL = 1 / 16
"""The share of a base model's area below which a size is another model's."""
TOLERANCE = math.log(1.05)
"""The largest distance between a size and a requested ratio."""
_GRID = 64
_TALL, _WIDE = (2, 3), (3, 2)
_PERSON = re.compile(
    r"\b(?:woman|man|girl|boy|lady|person|child|kid|baby|toddler|bride|groom|king|queen|prince|"
    r"princess|knight"
    r"|wizard|witch|elf|warrior|soldier|dancer|samurai|nurse|doctor|chef|teenager|grandmother|grandfather"
    r"|grandma|grandpa|mother|father|sorceress|mage|waitress|waiter|archer|priestess|goddess|geisha|astronaut|musician|firefighter|fisherman|farmer|monk"
    r"|detective|superhero|1girl|1boy|solo|selfie|headshot)\b",
    re.I,
)
_SCENE = re.compile(
    r"\b(?:mountains?|valleys?|canyons?|deserts?|dunes|beach(?:es)?|coast(?:line)?|shore|ocean|seas?|lakes?"
    r"|rivers?|meadows?|prairie|fields?|vineyards?|farm|skyline|city|town|village|streets?|roads?|harbou?r"
    r"|bridge|viaduct|highway|motorway|countryside|horizon|sunset|sunrise|sky|glacier|volcano|forest|jungle"
    r"|swamp|islands?|rooftops|garden|bedroom|kitchen|bathrooms?|room|lobby|library|corridor|interior|cafe"
    r"|market|battlefield|trains?|trams?|bus|ships?|boats?|cars?|trucks?|tractor|motorcycles?|bicycles?"
    r"|kayaks?|airplanes?|aircraft|spaceship|people|crowd|men|women|children|friends|family|couple|herd|flock"
    r"|[2-6](?:girl|boy)s)\b",
    re.I,
)
"""Places, vehicles and groups, which are wider than tall."""


_LETTERED = re.compile(
    r"\b(?:infographics?|cheat ?sheets?|step[- ]by[- ]step (?:guides?|instructions)|"
    r"recipe cards?|how-to guides?|"
    r"fact ?sheets?|flyers?|leaflets?|price lists?|menu cards?)\b",
    re.I,
)
"""Pages of letters, which are taller than wide."""


def sizes(
    own_counts: Counts,
    family_counts: Counts,
    row: BaseModelFacts,
    wishes: Wishes,
    *,
    is_general: bool = False,
) -> dict[Size, float]:
    """Returns plausible sizes with their weights.

    Args:
        own_counts: the sizes of the model's own images, "WIDTHxHEIGHT" → images; those of which at least
            :data:`AGREEING` images agree count.
        family_counts: the sizes of its family's images.
        row: the base model.
        wishes: the request's, of which size, side and ratio are read.
        is_general: the model draws anything, so that the subject determines the shape rather than its images.
    """
    if wishes.size:
        return {_on_grid(wishes.size, row): 1.0}
    if wishes.oversize and row.shapes:
        return {min(row.shapes, key=lambda size: abs(_apart(size, wishes.oversize or size))): 1.0}
    small = _small(own_counts, row)
    own_sizes = small or {size: n for size, n in _images_by_size(own_counts, row).items() if n >= AGREEING}
    if any(wishes.side):
        return {_both_sides(wishes.side, math.prod(_heaviest(own_sizes) if own_sizes else _square(row))): 1.0}
    aspect, is_loose = wishes.aspect, wishes.leaning
    if small and (aspect is None or is_loose):
        return small
    if small and aspect is not None:
        return {size_for(aspect, row, math.prod(_heaviest(small))): 1.0}
    if aspect is None:
        aspect, is_loose = _of_subject(wishes.prompt), True
        if own_sizes and not is_general and aspect != _WIDE:
            return own_sizes
    if aspect is None:
        squares = {size: n for size, n in own_sizes.items() if orientation(size) == 0}
        return squares or _usual(family_counts, row)
    fitting = {
        size: n
        for size, n in own_sizes.items()
        if abs(_apart(size, aspect)) <= TOLERANCE or (is_loose and orientation(size) == orientation(aspect))
    }
    return fitting or {size_for(aspect, row): 1.0}


def size_for(aspect: Size, row: BaseModelFacts, area: int | None = None) -> Size:
    """Returns the size for a ratio of width to height: one of the base model's within 5 % of it, else one of
    its area (or of ``area``, in pixels)."""
    if area is None:
        shape = min(row.shapes, key=lambda size: round(abs(_apart(size, aspect)), 3), default=None)
        if shape is not None and abs(_apart(shape, aspect)) <= TOLERANCE:
            return shape
    wide, tall = aspect
    width = math.sqrt((area or math.prod(_square(row))) * wide / tall)
    grids = (_GRID, row.step or SIDE_STEP)
    candidates = [(_to_grid(width, grid), _to_grid(width * tall / wide, grid)) for grid in grids]
    return next((size for size in candidates if abs(_apart(size, aspect)) <= TOLERANCE), candidates[-1])


def legal_size(key: object) -> Size | None:
    """Returns the width and height of "WIDTHxHEIGHT"; None where a call cannot have them."""
    width, _, height = str(key).partition("x")
    sides = int(width), int(height)
    ok = all(SIDE_MIN <= side <= SIDE_MAX and side % SIDE_STEP == 0 for side in sides)
    return sides if ok else None


def _images_by_size(counts: Counts, row: BaseModelFacts) -> dict[Size, float]:
    """Images by the base model's nearest size."""
    total: dict[Size, float] = {}
    for key, n in counts.items():
        size = legal_size(key)
        if size is not None:
            size = _nearest(size, row.shapes) if row.shapes else size
            total[size] = total.get(size, 0.0) + n
    return total


def _small(counts: Counts, row: BaseModelFacts) -> dict[Size, float]:
    """The sizes of at least :data:`AGREEING` images and less than :data:`SMALL` of the base model's area: the
    model has another size, and is listed under the base model by name only."""
    least = SMALL * math.prod(_square(row))
    agreed = {legal_size(key): n for key, n in counts.items() if n >= AGREEING}
    return {size: n for size, n in agreed.items() if size is not None and math.prod(size) < least}


@lru_cache(4096)
def _nearest(size: Size, shapes: tuple[Size, ...]) -> Size:
    """The shape that is nearest to a size in its ratio, and less so in its area."""

    def distance(shape: Size) -> float:
        return abs(_apart(size, shape)) + 0.25 * abs(math.log(math.prod(size) / math.prod(shape)))

    return min(shapes, key=distance)


def _usual(family_counts: Counts, row: BaseModelFacts) -> dict[Size, float]:
    """The base model's square, and the sizes of its family with half of the weight."""
    family = _images_by_size(family_counts, row)
    if row.area is None and family:
        return family
    images = sum(family.values()) or 1.0
    mass = {size: 0.5 * n / images for size, n in family.items()}
    return mass | {_square(row): 0.5 + mass.get(_square(row), 0.0)}


def _of_subject(prompt: str) -> Size | None:
    """Tall for a page of letters, wide for a scene and tall for a person, whichever is named first; None for
    anything else.

    A "cafe waitress" is a person.
    """
    if _LETTERED.search(prompt):
        return _TALL
    person, scene = _PERSON.search(prompt), _SCENE.search(prompt)
    if person and (scene is None or not prompt[scene.end() : person.start()].strip()):
        return _TALL
    return _WIDE if scene else None


def _both_sides(side: tuple[int | None, int | None], area: int) -> Size:
    """Both sides of a size by one of them and the area."""
    pixels = side[0] or side[1] or math.isqrt(area)
    other_pixels = _to_grid(area / pixels, _GRID)
    return (pixels, other_pixels) if side[0] else (other_pixels, pixels)


def _on_grid(size: Size, row: BaseModelFacts) -> Size:
    """A requested size, rounded to the base model's grid."""
    step = row.step or SIDE_STEP
    return (
        size if all(side % step == 0 for side in size) else (_to_grid(size[0], step), _to_grid(size[1], step))
    )


def _square(row: BaseModelFacts) -> Size:
    side = row.side or USUAL.side
    assert side is not None
    return side, side


def _heaviest(mass: Mapping[Size, float]) -> Size:
    return max(mass, key=lambda size: mass[size])


def _to_grid(pixels: float, grid: int) -> int:
    return legal_side(round(pixels / grid) * grid)


def _apart(size: Size, other: Size) -> float:
    """How much wider a size is than another in its ratio, as a logarithm."""
    return math.log(size[0] * other[1] / (size[1] * other[0]))
