"""Preferences: how much readers like a model's pictures beside those of models that suit a request alike.

A preference is a logit: of two models with equal features, one whose preference is greater by 1 is liked best
2.7 times as often. A checkpoint's counts as far as its medium is the requested one. Preferences are fitted
with the suitability, on orders of candidates (:mod:`diffagent.training.fitting.suiting`), for models that
stand in enough of them; others have 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

FILE = "preferences.json"


@cache
def preferences() -> Mapping[str, float]:
    """Returns the preferences that ship, by AIR."""
    text = files("diffagent.agent").joinpath("default", FILE).read_text(encoding="utf-8")
    return {str(air): float(value) for air, value in json.loads(text).items()}
