"""Scope: which entries of a catalog may be chosen for one request, and with which settings.

In: the user's filters (base model, type, images that may be sold), the call's target, and a server's
installed models. Out: whether a card is allowed; settings that the target takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from diffagent.agent.asking.wishes import Wishes
from diffagent.agent.setting import Setting
from diffagent.agent.targets import ITSELF, load
from diffagent.agent.targets.emitting import offers, runs, supported
from diffagent.data.base_models import is_meant
from diffagent.data.errors import BadInput
from diffagent.data.records import SIDE_STEP, Card
from diffagent.data.samplers import Sampler, join, nearest, split

LONGEST_OPTION = 100
"""The most characters of a base model or a type; the hub's longest has about 20."""


@dataclass(frozen=True)
class ChoiceScope:
    """``base_model`` is a base model or a family; ``installed`` are a server's AIRs (None: any)."""

    base_model: str | None = None
    type: str | None = None
    commercial: bool = False
    target: str = "diffagent"
    installed: frozenset[str] | None = None
    samplers: tuple[Sampler, ...] | None = None
    """The server's samplers; None: the target's."""

    def __post_init__(self) -> None:
        """Folds the case once, since every card is compared.

        Raises:
            BadInput: the base model or the type is too long.
        """
        for name in ("base_model", "type"):
            text = getattr(self, name)
            if text is not None:
                if len(text) > LONGEST_OPTION:
                    raise BadInput(
                        f"{name} has {len(text):,} characters, but none has more than {LONGEST_OPTION}: give "
                        "one that the catalog has"
                    )
                object.__setattr__(self, name, text.casefold())

    @property
    def pickles(self) -> bool:
        """Whether ``.ckpt`` files are allowed: AI Horde's workers scan them."""
        return self.target != ITSELF and load(self.target).pickles

    def allows(self, card: Card) -> bool:
        if card.is_pickle and not self.pickles:
            return False
        if self.installed is None:
            if not offers(self.target, card):
                return False
        elif card.air not in self.installed or not runs(self.target, card):
            return False
        if self.commercial and not card.licence.images_may_be_sold:
            return False
        if self.type and card.type.casefold() != self.type:
            return False
        return not self.base_model or is_meant(self.base_model, card.base_model)

    def fitted(self, settings: Mapping[str, Setting], wishes: Wishes, base_model: str) -> dict[str, Setting]:
        """Returns the settings that the target takes for a base model; the user's wishes stay, and may be
        refused later."""
        fitted = dict(settings)
        if wishes.sampler is None:
            able = frozenset(supported(self.target, base_model) if self.samplers is None else self.samplers)
            fitted["sampler"] = _only(settings["sampler"], able)
        step = SIDE_STEP if self.target == ITSELF else load(self.target).side_step
        if step != SIDE_STEP and wishes.size is None:
            fitted["size"] = _on_grid(settings["size"], step)
        return fitted


def _only(setting: Setting, able: frozenset[Sampler]) -> Setting:
    pairs = [pair for pair in zip(setting.values, setting.log_priors, strict=True) if split(pair[0]) in able]
    if pairs:
        return Setting(*map(tuple, zip(*pairs, strict=True)))
    near = nearest(split(setting.values[0]), able)
    return Setting.fixed((near and join(near)) or setting.values[0])


def _on_grid(setting: Setting, step: int) -> Setting:
    """Returns sizes whose sides are multiples of the step; the most plausible one, rounded, where none is."""
    pairs = [
        pair
        for pair in zip(setting.values, setting.log_priors, strict=True)
        if all(side % step == 0 for side in pair[0])
    ]
    if pairs:
        return Setting(*map(tuple, zip(*pairs, strict=True)))
    return Setting.fixed(tuple(max(step, int(side / step + 0.5) * step) for side in setting.values[0]))
