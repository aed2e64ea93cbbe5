"""Fitted weights in an ``.npz`` file, with the names of their features."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diffagent.data.errors import BadCatalog


def stored_weights(path: Path, features: Sequence[str], command: str) -> dict[str, npt.NDArray[Any]]:
    """Returns the arrays of a file by name; ``command`` fits them again.

    Raises:
        BadCatalog: the weights were fitted for other features than this version's.
    """
    with np.load(path, allow_pickle=False) as stored:
        if stored["features"].tolist() != list(features):
            raise BadCatalog(f"{path} was fitted for other features", f"run {command} again")
        return {name: stored[name] for name in stored.files if name != "features"}
