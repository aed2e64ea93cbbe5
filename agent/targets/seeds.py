"""Seeds: drawn where none is given, so that every picture can be reproduced."""

from __future__ import annotations

import secrets

from diffagent.data.records import SEED_MAX, T2ICall

DRAWN = 2**32
"""Upper bound of drawn seeds, which every target takes."""


def seeded(call: T2ICall) -> T2ICall:
    """Returns the call with a seed, drawn where it has none."""
    return call if call.seed is not None else call.model_copy(update={"seed": secrets.randbelow(DRAWN)})


def numbered_seeds(seed: int | None, n: int) -> tuple[int, ...]:
    """Returns n consecutive seeds, from a drawn one where none is given."""
    first, end = (secrets.randbelow(DRAWN), DRAWN) if seed is None else (seed, SEED_MAX + 1)
    return tuple((first + i) % end for i in range(n))
