"""Suitability: scores of a catalog's models as answers to a request, from its reading.

    reading × attributes, names, specifications → features [M, F] → logits [M]

The weights are fitted on graded candidates of plain requests (:mod:`diffagent.training.fitting.suiting`): a
model that an expert calls good ranks above an acceptable one, which ranks above a wrong one.
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
from diffagent.agent.choosing.preferences import preferences
from diffagent.agent.choosing.ranking import greatest, log_sum_exp
from diffagent.data.attributes import MEDIA, ROLES, Breadth
from diffagent.data.base_models import side_of

if TYPE_CHECKING:
    from diffagent.agent.choosing.choosing import CardShelf

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Real = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

MATCHED = ("whitened", "mean_sentence", "profile", "name", "tags", "term")
"""Columns of :class:`diffagent.agent.choosing.matching.Matcher`'s features that are used here too."""
DRAFT = 0.3
"""The weight of the suitability to the rules' reading beside that to the language model's."""
LIMIT = 6.0
"""Standardised values at which a feature is clipped: nothing was fitted beyond."""
CONSTANT = 1e-5
"""The scale below which a feature was constant in the fitted rows, and is ignored."""
LARGE = 900_000
"""The least pixels of a base model's own size that make it a large one, such as SDXL."""
LEAST_LOG = -12.0
"""The lower bound of the prefilter's log-probability."""
BLOCK = 1 << 17
"""Models scored per block: one product takes some 50 MB."""
SHORT = 512
"""Models whose logits are computed in double precision: more than are ever shown."""
_OF_BOTH = (
    "renown",
    "renowned",
    "obscure",
    "preference",
    "downloads",
    "caution",
    "ranked",
    "ranked_pasted",
    *MATCHED,
)
_OF_CHECKPOINT = (
    "is_checkpoint", "kin", "kin_first", "first", "first_named", "style_named", "style_unnamed", "other_role",
    "broad", "genre", "narrow", "anime_for_other", "photo_for_drawn", "women_for_none",
    "women_for_others", "women_for_women",
    "nobody_for_people", "people_same", "subject", "special", "large_base", "kin_renown", "any_medium",
    "likely_kin",
)  # fmt: skip
_OF_LORA = (
    "overlap", "overlap_weight", "overlap_role", "overlap_whole", "overlap_checkpoint",
    "evidence", "faint", "strong", "rare", "role_read", "role_unread", "nothing_read", "lora_kin", "unlike",
    "character", "style", "thing", "marked",
    "evidence_role", "evidence_nothing", "lora_similar", "lora_first",
)  # fmt: skip
FEATURES = (*_OF_BOTH, *_OF_CHECKPOINT, *_OF_LORA)
DRAWN = ("anime", "manga", "chibi")
"""Media whose models draw everything in that medium."""
_REAL = [MEDIA.index(medium) for medium in ("photo", "analog photo")]
_UNTOLD = MEDIA.index("any")
PLACES = {medium: place for place, medium in enumerate(MEDIA)}
BREADTHS: tuple[Breadth, ...] = get_args(Breadth)


@dataclass(frozen=True)
class TextMatch:
    """What a request's text tells of M models, whatever its reading: ``columns`` float32 [M, 6], those of
    :data:`MATCHED`; ``ranked`` float32 [M], the prefilter's log-probabilities; ``media`` [media], the
    probability of each medium (None: unknown, and the reading's counts alone)."""

    columns: Real
    ranked: Real
    media: Floats | None = None


@dataclass(frozen=True)
class Suitability:
    """A linear model over :data:`FEATURES` plus one layer of H units: ``linear`` [F], ``hidden`` [F, H],
    ``hidden_bias`` [H], ``out`` [H]; ``mean`` and ``scale`` [F] standardise."""

    mean: Floats
    scale: Floats
    linear: Floats
    hidden: Floats
    hidden_bias: Floats
    out: Floats

    def __call__(self, features: Real) -> Floats:
        """Returns logits [M] from features [M, F].

        Logits of more than :data:`SHORT` models are computed in single precision, and again in double for the
        first of them: the others only enter the normalisation and are never shown.
        """
        if len(features) <= SHORT:
            return self._logits(features)
        varies = (features != features[0]).any(0)  # constant ones are computed once
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
        """Returns the logits of some models in single precision: [models].

        Args:
            table: the features of the models, a row each: [F, models].
            varies: whether a feature differs between models: [F].
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
        """Returns log-probabilities [M] from features [M, F] of the language model's reading and, as a second
        table, of the rules' draft, so that a misread slot does not exclude a model."""
        logs = [(logits := self(table)) - log_sum_exp(logits) for table in tables]
        mixed: Floats = logs[0] if len(logs) == 1 else (1 - DRAFT) * logs[0] + DRAFT * logs[1]
        return mixed

    @classmethod
    def average(cls, fits: Sequence[Self]) -> Self:
        """Returns the mean of fits on the same rows, as one fit with the units of all."""
        first, n = fits[0], len(fits)
        return cls(
            first.mean,
            first.scale,
            np.mean([fit.linear for fit in fits], axis=0),
            np.concatenate([fit.hidden for fit in fits], axis=1),
            np.concatenate([fit.hidden_bias for fit in fits]),
            np.concatenate([fit.out for fit in fits]) / n,
        )

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Loads an ``.npz`` file; default: the packaged one.

        Raises:
            BadCatalog: the weights were fitted for other features than this version's.
        """
        source = path or Path(str(files("diffagent.agent") / "default" / "suitability.npz"))
        stored = stored_weights(source, FEATURES, "diffagent train suitability")
        return cls(**{name: values.astype(float) for name, values in stored.items()})

    def save(self, path: Path) -> None:
        weights = {field.name: getattr(self, field.name).astype(np.float32) for field in fields(self)}
        np.savez_compressed(path, features=np.array(FEATURES), **weights)


class ShelfFacts:
    """Columns over the M entries of a shelf that are the same for all requests."""

    def __init__(self, shelf: CardShelf) -> None:
        self.shelf = shelf
        entries = [(card, card.attributes) for card in shelf.cards]
        self.is_lora = np.array([card.type == "LoRA" for card, _ in entries], bool)
        self.renown = np.array([a.renown if a else 0 for _, a in entries], float)
        known = preferences()
        self.preference = np.array([known.get(card.air, 0.0) for card, _ in entries], float)
        self.downloads = np.array([math.log10(1 + card.stats.downloads) for card, _ in entries])
        self.caution = np.array([len(a.caution) if a else 0 for _, a in entries], float)
        self.first = np.array([PLACES[a.media[0]] if a else -1 for _, a in entries], np.int16)
        self._role = np.array([ROLES.index(a.role if a else "tool") for _, a in entries], np.int8)
        self._breadth = np.array([BREADTHS.index(a.breadth if a else "narrow") for _, a in entries], np.int8)
        self.people = np.array([PEOPLE.index(a.people) if a else 0 for _, a in entries], np.int8)
        self.base_models = sorted({card.base_model for card, _ in entries})
        places = {name: place for place, name in enumerate(self.base_models)}
        self.base_model = np.array([places[card.base_model] for card, _ in entries], np.int16)
        """Each entry's index in ``base_models``."""
        large = [side_of(name) ** 2 >= LARGE for name in self.base_models]
        self.large_base = np.array(large, float)[self.base_model]
        self.read = self.first >= 0
        self.drawn = np.isin(self.first, [MEDIA.index(medium) for medium in DRAWN])
        self.women = np.isin(self.people, [PEOPLE.index("young women"), PEOPLE.index("women")])
        self.nobody = self.people == PEOPLE.index("none")

    def of_role(self, role: str) -> Mask:
        """Returns the mask of a role; empty for an unknown role."""
        place = ROLES.index(cast(Any, role)) if role in ROLES else -1
        return np.equal(self._role, place)

    def of_breadth(self, breadth: Breadth) -> Mask:
        return np.equal(self._breadth, BREADTHS.index(breadth))

    def only(self, rows: npt.NDArray[np.int64]) -> ShelfFacts:
        """Returns the columns of some entries; the shelf stays."""
        facts = copy(self)
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray):
                setattr(facts, name, column[rows])
        return facts

    @cached_property
    def subjects(self) -> Mapping[str, npt.NDArray[np.int32]]:
        """Word → the checkpoints with it in their subjects."""
        index: dict[str, array[int]] = {}
        for number, card in enumerate(self.shelf.cards):
            if card.type == "Checkpoint" and card.attributes:
                for word in set(words(" ".join(card.attributes.subjects))):
                    index.setdefault(word, array("i")).append(number)
        return {word: np.array(places, np.int32) for word, places in index.items()}


def preference_share(is_checkpoint: Real | Mask, kin: Real, likely_kin: Real) -> Floats:
    """Returns how far preferences count [M]: a checkpoint's as far as its media are the requested one, as
    read and as is likely."""
    return np.where(is_checkpoint, (kin + likely_kin) / 2, 1.0)


def features(
    facts: ShelfFacts,
    reading: Reading,
    match: TextMatch,
    rows: npt.NDArray[np.int64] | None = None,
) -> Floats:
    """Returns the features of each model for a request's reading: [M, F]; with ``rows``: [len(rows), F].

    Args:
        facts: the catalog's facts.
        reading: the request's reading.
        match: what its text tells.
        rows: the models; default: all.
    """
    shelf, phrases = facts.shelf, facts.shelf.evidence_of(reading)
    medium = MEDIA.index(reading.medium)
    matched, ranked = match.columns, match.ranked
    subject = np.zeros(len(ranked))
    for word in set(reading.words):
        if (places := facts.subjects.get(word)) is not None and not shelf.is_function(word):
            subject[places] += 1
    kin, marked = shelf.kinship[medium], shelf.marked(reading)
    likely = kin if match.media is None or reading.has_known_medium else match.media @ shelf.kinship
    if rows is not None:
        facts, phrases = facts.only(rows), phrases.only(rows)
        kin, likely, marked, subject = kin[rows], likely[rows], marked[rows], subject[rows]
        matched, ranked = matched[rows], ranked[rows]
    evidence = phrases.evidence
    checkpoint, lora = ~facts.is_lora, facts.is_lora
    first = facts.first == medium
    is_named = bool(reading.named_media) and reading.medium not in ("photo", "anime")
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
        "preference": facts.preference * preference_share(checkpoint, kin, likely),
        "downloads": facts.downloads,
        "caution": facts.caution,
        "ranked": prior,
        "ranked_pasted": prior * reading.pasted,
        **{name: matched[:, at] for at, name in enumerate(MATCHED)},
        "is_checkpoint": checkpoint,
        "kin": checkpoint * kin,
        "kin_first": checkpoint * kin * (kin >= 0.95),
        "first": checkpoint * first,
        "first_named": checkpoint * first * is_named,
        "style_named": checkpoint * style * first * is_named,
        "style_unnamed": checkpoint * style * (not is_named),
        "other_role": checkpoint * ~(style | general),
        "broad": checkpoint * facts.of_breadth("broad"),
        "genre": checkpoint * facts.of_breadth("genre"),
        "narrow": checkpoint * facts.of_breadth("narrow"),
        "anime_for_other": checkpoint * facts.drawn * (reading.medium not in DRAWN),
        "photo_for_drawn": checkpoint * np.isin(facts.first, _REAL) * (medium not in _REAL),
        "women_for_none": checkpoint * facts.women * (not somebody),
        "women_for_others": checkpoint * facts.women * (somebody and not reading.young_women),
        "women_for_women": checkpoint * facts.women * reading.young_women,
        "nobody_for_people": checkpoint * facts.nobody * somebody,
        "people_same": checkpoint * somebody * (facts.people == PEOPLE.index(reading.people)),
        "subject": checkpoint * np.minimum(subject, 2),
        "special": checkpoint * (1 - nothing),
        "large_base": facts.large_base,
        "kin_renown": checkpoint * kin * facts.renown,
        "any_medium": checkpoint * (facts.first == _UNTOLD),
        "likely_kin": checkpoint * likely,
        "evidence": evidence,
        "faint": lora * (evidence > 0),
        "strong": lora * (evidence >= 2.5),
        "rare": phrases.rare,
        "overlap": lora * phrases.overlap,
        "overlap_weight": lora * phrases.weight,
        "overlap_role": lora * phrases.overlap * role_read,
        "overlap_whole": lora * (phrases.overlap > 0.99),
        "overlap_checkpoint": checkpoint * phrases.overlap,
        "role_read": lora * role_read,
        "role_unread": lora * ~role_read * (1 - nothing),
        "nothing_read": lora * nothing,
        "lora_kin": lora * kin,
        "unlike": lora * is_named * (kin < 0.3) * (facts.first != _UNTOLD),
        "character": lora * character,
        "style": lora * style,
        "thing": lora * ~(style | character),
        "marked": marked,
        "evidence_role": evidence * role_read,
        "evidence_nothing": evidence * nothing,
        "lora_similar": lora * matched[:, 0],
        "lora_first": lora * first * is_named,
    }
    table = np.empty((len(FEATURES), len(ranked)))
    for row, name in zip(table, FEATURES, strict=True):
        row[:] = columns[name]
    return table.T
