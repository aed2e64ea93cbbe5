"""Suitability: how well each model of a catalog would answer a request, from its reading.

    reading × attributes, names, specifications → features [M, F] → logits [M]

The weights are fitted on graded candidates of plain requests (:mod:`diffagent.training.fitting.suiting`): a
model that a person who knows these models calls good stands above one that will do, above one that is wrong.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast, get_args

import numpy as np
import numpy.typing as npt

from diffagent.agent.asking.reading import PEOPLE, Reading
from diffagent.agent.asking.words import words
from diffagent.agent.choosing.fitted import stored_weights
from diffagent.agent.choosing.ranking import greatest, log_sum_exp
from diffagent.data.attributes import MEDIA, ROLES, Breadth
from diffagent.data.base_models import USUAL

if TYPE_CHECKING:
    from diffagent.agent.choosing.choosing import Shelf

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Real = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

MATCHED = ("whitened", "mean_sentence", "profile", "name", "tags", "term")
"""Columns of :class:`diffagent.agent.choosing.matching.Matcher`'s features that count here too."""
DRAFT = 0.3
"""The weight of the suitability to the rules' reading beside that to the language model's."""
LIMIT = 6.0
"""Standardised values beyond which nothing was fitted."""
CONSTANT = 1e-5
"""The scale below which a feature was the same in all rows that were fitted: nothing follows from it."""
LEAST_LOG = -12.0
"""The prefilter's log-probability below which it makes no difference."""
BLOCK = 1 << 17
"""Models that are judged at a time: as many as one product takes with some 50 MB between."""
SHORT = 512
"""Models whose logits are computed in double precision: more than are ever shown, or as near as rounding."""
_OF_BOTH = ("renown", "renowned", "obscure", "downloads", "caution", "ranked", "ranked_pasted", *MATCHED)
_OF_CHECKPOINT = (
    "is_checkpoint", "kin", "kin_first", "first", "first_named", "style_named", "style_unnamed", "other_role",
    "broad", "genre", "narrow", "anime_for_other", "photo_for_drawn", "women_for_none",
    "women_for_others", "women_for_women",
    "nobody_for_people", "people_same", "subject", "special", "unusual_base", "kin_renown", "any_medium",
)  # fmt: skip
_OF_LORA = (
    "overlap", "overlap_weight", "overlap_role", "overlap_whole", "overlap_checkpoint",
    "evidence", "faint", "strong", "rare", "role_read", "role_unread", "nothing_read", "lora_kin", "unlike",
    "character", "style", "thing", "marked",
    "evidence_role", "evidence_nothing", "lora_similar", "lora_first",
)  # fmt: skip
FEATURES = (*_OF_BOTH, *_OF_CHECKPOINT, *_OF_LORA)
DRAWN = ("anime", "manga", "chibi")
"""Media whose models draw everything that way."""
_REAL = [MEDIA.index(medium) for medium in ("photo", "analog photo")]
_UNTOLD = MEDIA.index("any")
PLACES = {medium: place for place, medium in enumerate(MEDIA)}
BREADTHS: tuple[Breadth, ...] = get_args(Breadth)


@dataclass(frozen=True)
class Suitability:
    """Linear over :data:`FEATURES`, with one layer of H units beside: ``linear`` [F], ``hidden`` [F, H],
    ``hidden_bias`` [H], ``out`` [H]; ``mean`` and ``scale`` [F] standardise."""

    mean: Floats
    scale: Floats
    linear: Floats
    hidden: Floats
    hidden_bias: Floats
    out: Floats

    def __call__(self, features: Real) -> Floats:
        """Logits [M] from features [M, F].

        Those of more than :data:`SHORT` models are computed in single precision, and again in double for the
        first of them: the others are good for what all add up to, and are never shown.
        """
        if len(features) <= SHORT:
            return self._logits(features)
        varies = (features != features[0]).any(0)  # the others count once for all
        parts = [self._roughly(features[at : at + BLOCK].T, varies) for at in range(0, len(features), BLOCK)]
        logits = np.concatenate(parts).astype(float)
        first = greatest(logits, SHORT)
        logits[first] = self._logits(features[first])
        return logits

    @cached_property
    def _single(self) -> tuple[Singles, ...]:
        """In single precision: ``mean`` [F, 1]; one over ``scale``, 0 for a constant, [F, 1]; the weights
        of the units and of the linear part, one product for both, [H + 1, F]; the units' biases, and 0 for
        the other, [H + 1]; ``out`` [H]."""
        steady = np.where(self.scale > CONSTANT, self.scale, np.inf)
        weights = np.concatenate([self.hidden.T, self.linear[None]])
        parts = (self.mean[:, None], 1 / steady[:, None], weights, np.r_[self.hidden_bias, 0.0], self.out)
        return tuple(np.ascontiguousarray(part, np.float32) for part in parts)

    def _roughly(self, table: Real, varies: Mask) -> Singles:
        """The logits of some models in single precision: [models].

        Args:
            table: the features of the models, a row each: [F, models].
            varies: which of them differ from model to model: [F].
        """
        mean, per_scale, weights, bias, out = self._single
        same = (table[~varies, :1].astype(np.float32) - mean[~varies]) * per_scale[~varies]
        constant = bias[:, None] + weights[:, ~varies] @ np.clip(same, -LIMIT, LIMIT)
        x = np.ones((np.count_nonzero(varies) + 1, table.shape[1]), np.float32)  # the last for the constant
        standard = x[:-1]
        standard[:] = table[varies]
        standard -= mean[varies]
        standard *= per_scale[varies]
        np.clip(standard, -LIMIT, LIMIT, out=standard)
        both = np.hstack([weights[:, varies], constant]) @ x
        units = both[:-1]
        np.maximum(units, 0, out=units)
        logits: Singles = both[-1] + out @ units
        return logits

    def _logits(self, features: Real) -> Floats:
        x = np.clip((features - self.mean) / self.scale, -LIMIT, LIMIT) * (self.scale > CONSTANT)
        units = np.maximum(x @ self.hidden + self.hidden_bias, 0)
        logits: Floats = x @ self.linear + units @ self.out
        return logits

    def among(self, tables: Sequence[Floats]) -> Floats:
        """Log-probabilities [M] from features [M, F] by the language model's reading and, where there is a
        second table, by the rules' draft of it: what a misread slot would rule out stays in view."""
        logs = [(logits := self(table)) - log_sum_exp(logits) for table in tables]
        mixed: Floats = logs[0] if len(logs) == 1 else (1 - DRAFT) * logs[0] + DRAFT * logs[1]
        return mixed

    @classmethod
    def average(cls, fits: Sequence[Self]) -> Self:
        """The mean of fits on the same rows, as one with the units of all."""
        first, n = fits[0], len(fits)
        return cls(
            first.mean,
            first.scale,
            np.mean([one.linear for one in fits], axis=0),
            np.concatenate([one.hidden for one in fits], axis=1),
            np.concatenate([one.hidden_bias for one in fits]),
            np.concatenate([one.out for one in fits]) / n,
        )

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """From an ``.npz`` file; by default the one that ships.

        Raises:
            BadCatalog: fitted for other features than this version computes.
        """
        source = path or Path(str(files("diffagent.agent") / "default" / "suitability.npz"))
        stored = stored_weights(source, FEATURES, "diffagent train suitability")
        return cls(**{name: values.astype(float) for name, values in stored.items()})

    def save(self, path: Path) -> None:
        weights = {one.name: getattr(self, one.name).astype(np.float32) for one in fields(self)}
        np.savez_compressed(path, features=np.array(FEATURES), **weights)


class Facts:
    """What is the same for all requests: columns over the M entries of a shelf."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        read = [(card, card.attributes) for card in shelf.cards]
        self.is_lora = np.array([card.type == "LoRA" for card, _ in read], bool)
        self.renown = np.array([a.renown if a else 0 for _, a in read], float)
        self.downloads = np.array([math.log10(1 + card.stats.downloads) for card, _ in read])
        self.caution = np.array([len(a.caution) if a else 0 for _, a in read], float)
        self.first = np.array([PLACES[a.media[0]] if a else -1 for _, a in read], np.int16)
        self._role = np.array([ROLES.index(a.role if a else "tool") for _, a in read], np.int8)
        self._breadth = np.array([BREADTHS.index(a.breadth if a else "narrow") for _, a in read], np.int8)
        self.people = np.array([PEOPLE.index(a.people) if a else 0 for _, a in read], np.int8)
        self.base_models = sorted({card.base_model for card, _ in read})
        places = {name: place for place, name in enumerate(self.base_models)}
        self.base_model = np.array([places[card.base_model] for card, _ in read], np.int16)
        """The place of each entry's in ``base_models``."""
        self.unusual_base = (self.base_model != places.get(USUAL.name, -1)).astype(float)
        self.read = self.first >= 0
        self.drawn = np.isin(self.first, [MEDIA.index(medium) for medium in DRAWN])
        self.women = np.isin(self.people, [PEOPLE.index("young women"), PEOPLE.index("women")])
        self.nobody = self.people == PEOPLE.index("none")

    def of_role(self, role: str) -> Mask:
        """The entries of a role; none where it is no role."""
        place = ROLES.index(cast(Any, role)) if role in ROLES else -1
        return np.equal(self._role, place)

    def of_breadth(self, breadth: Breadth) -> Mask:
        return np.equal(self._breadth, BREADTHS.index(breadth))

    def only(self, rows: npt.NDArray[np.int64]) -> Facts:
        """The columns of some entries alone; the shelf stays."""
        taken = copy(self)
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray):
                setattr(taken, name, column[rows])
        return taken

    @cached_property
    def subjects(self) -> Mapping[str, npt.NDArray[np.int32]]:
        """Word → the checkpoints whose subjects hold it."""
        index: dict[str, array[int]] = {}
        for number, card in enumerate(self.shelf.cards):
            if card.type == "Checkpoint" and card.attributes:
                for word in set(words(" ".join(card.attributes.subjects))):
                    index.setdefault(word, array("i")).append(number)
        return {word: np.array(places, np.int32) for word, places in index.items()}


def features(
    facts: Facts, reading: Reading, matched: Real, ranked: Real, rows: npt.NDArray[np.int64] | None = None
) -> Floats:
    """What a request's reading says of each model: [M, F]; of the entries ``rows`` alone: [len(rows), F].

    Args:
        facts: of the catalog.
        reading: of the request.
        matched: [M, 6], the columns :data:`MATCHED`.
        ranked: [M], the prefilter's log-probabilities.
    """
    shelf, heard = facts.shelf, facts.shelf.heard(reading)
    asked = MEDIA.index(reading.medium)
    subject = np.zeros(len(ranked))
    for word in set(reading.words):
        if (places := facts.subjects.get(word)) is not None and not shelf.is_function(word):
            subject[places] += 1
    kin, marked = shelf.kinship[asked], shelf.marked(reading)
    if rows is not None:
        facts, heard = facts.only(rows), heard.only(rows)
        kin, marked, subject = kin[rows], marked[rows], subject[rows]
        matched, ranked = matched[rows], ranked[rows]
    evidence = heard.evidence
    checkpoint, lora = ~facts.is_lora, facts.is_lora
    first = facts.first == asked
    named = bool(reading.named) and reading.medium not in ("photo", "anime")
    style, general, character = map(facts.of_role, ("style", "general", "character"))
    somebody = reading.people != "none"
    special = reading.special or "none"
    role_read = facts.of_role(special)
    nothing = float(special == "none")
    prior = np.maximum(ranked, LEAST_LOG)
    columns = {
        "renown": facts.renown,
        "renowned": facts.renown >= 3,
        "obscure": facts.renown < 1,
        "downloads": facts.downloads,
        "caution": facts.caution,
        "ranked": prior,
        "ranked_pasted": prior * reading.pasted,
        **{name: matched[:, at] for at, name in enumerate(MATCHED)},
        "is_checkpoint": checkpoint,
        "kin": checkpoint * kin,
        "kin_first": checkpoint * kin * (kin >= 0.95),
        "first": checkpoint * first,
        "first_named": checkpoint * first * named,
        "style_named": checkpoint * style * first * named,
        "style_unnamed": checkpoint * style * (not named),
        "other_role": checkpoint * ~(style | general),
        "broad": checkpoint * facts.of_breadth("broad"),
        "genre": checkpoint * facts.of_breadth("genre"),
        "narrow": checkpoint * facts.of_breadth("narrow"),
        "anime_for_other": checkpoint * facts.drawn * (reading.medium not in DRAWN),
        "photo_for_drawn": checkpoint * np.isin(facts.first, _REAL) * (asked not in _REAL),
        "women_for_none": checkpoint * facts.women * (not somebody),
        "women_for_others": checkpoint * facts.women * (somebody and not reading.young_women),
        "women_for_women": checkpoint * facts.women * reading.young_women,
        "nobody_for_people": checkpoint * facts.nobody * somebody,
        "people_same": checkpoint * somebody * (facts.people == PEOPLE.index(reading.people)),
        "subject": checkpoint * np.minimum(subject, 2),
        "special": checkpoint * (1 - nothing),
        "unusual_base": facts.unusual_base,
        "kin_renown": checkpoint * kin * facts.renown,
        "any_medium": checkpoint * (facts.first == _UNTOLD),
        "evidence": evidence,
        "faint": lora * (evidence > 0),
        "strong": lora * (evidence >= 2.5),
        "rare": heard.rare,
        "overlap": lora * heard.overlap,
        "overlap_weight": lora * heard.weight,
        "overlap_role": lora * heard.overlap * role_read,
        "overlap_whole": lora * (heard.overlap > 0.99),
        "overlap_checkpoint": checkpoint * heard.overlap,
        "role_read": lora * role_read,
        "role_unread": lora * ~role_read * (1 - nothing),
        "nothing_read": lora * nothing,
        "lora_kin": lora * kin,
        "unlike": lora * named * (kin < 0.3) * (facts.first != _UNTOLD),
        "character": lora * character,
        "style": lora * style,
        "thing": lora * ~(style | character),
        "marked": marked,
        "evidence_role": evidence * role_read,
        "evidence_nothing": evidence * nothing,
        "lora_similar": lora * matched[:, 0],
        "lora_first": lora * first * named,
    }
    table = np.empty((len(FEATURES), len(ranked)))
    for row, name in zip(table, FEATURES, strict=True):
        row[:] = columns[name]
    return table.T
