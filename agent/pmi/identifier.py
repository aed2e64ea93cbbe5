"""Identification: example images in, the models of a catalog that make such images out, with probabilities.

    identifier = Identifier.beside(catalog.path)            # None where the catalog has no specifications
    found = identifier.identify(["a.png", "b.png"])
    found.best(5), found.unsure

The matching space is learnt when specifications are built, and kept beside them with a stamp of what it was
learnt from; a space that does not fit its specifications is learnt again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from diffagent.agent.pmi.kernel_matching import KernelMatcher, Points
from diffagent.agent.pmi.learning import LearntSpace, Training, View, learn
from diffagent.agent.pmi.requirement import ImageRequirement, check_count
from diffagent.agent.pmi.space import Doubles, Setting, Space
from diffagent.agent.pmi.specification_file import Specification, SpecificationFile
from diffagent.data.encoders.features import Features
from diffagent.data.encoders.image_encoder import ImageEncoder, load_image_encoder
from diffagent.data.encoders.image_loading import load_images

SUFFIX = ".pmi"
SURE = 0.5
"""The best model is named with confidence where it is more probable than not."""
PAIR_DISTANCE = 100.0
LIKELY = 0.9
"""Of the probability: what the likely models hold together."""


@dataclass(frozen=True)
class Identification:
    """``log_probabilities`` [M] of ``airs``, calibrated on the hub's own images."""

    airs: tuple[str, ...]
    log_probabilities: Doubles

    def best(self, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable models with their probabilities."""
        order = np.argsort(-self.log_probabilities, kind="stable")[:k]
        return [(self.airs[i], float(np.exp(self.log_probabilities[i]))) for i in order]

    @property
    def unsure(self) -> bool:
        """Whether no model is more probable than all others together."""
        return float(np.exp(self.log_probabilities.max())) < SURE

    @property
    def likely(self) -> int:
        """How many of the best models hold 90 % of the probability."""
        shares = np.sort(np.exp(self.log_probabilities))[::-1].cumsum()
        return int(np.searchsorted(shares, LIKELY * shares[-1]) + 1)


class Identifier:
    """The specifications of a catalog with their learnt space. Safe to share between threads."""

    def __init__(
        self, file: SpecificationFile, learnt: LearntSpace, encoder: ImageEncoder | None = None
    ) -> None:
        self.file = file
        self.learnt = learnt
        self.airs = tuple(file.airs)
        self._given = encoder

    @classmethod
    def beside(cls, catalog: Path, encoder: ImageEncoder | None = None) -> Self | None:
        """Of the specifications that lie beside a catalog; None where there are none."""
        path = specification_file(catalog)
        return None if path is None else cls.load(path, encoder)

    @classmethod
    def load(cls, path: Path, encoder: ImageEncoder | None = None) -> Self:
        """Of a file of specifications.

        Raises:
            BadSpecifications: it cannot be read. BadInput: it holds too little to tell models apart.
        """
        file = SpecificationFile.open(path)
        return cls(file, learnt_space(file), encoder)

    @cached_property
    def encoder(self) -> ImageEncoder:
        """The encoder that made the specifications; loaded on first use.

        Raises:
            MissingWeights: it can be found nowhere. BadSpecifications: its bytes are others today.
        """
        made = self.file.encoders
        found = self._given or load_image_encoder(made.image)
        self.file.check_image_encoder(found.name, found.digest)
        return found

    @cached_property
    def _kernels(self) -> tuple[KernelMatcher, float]:
        """The specifications as the paper matches them, and the factor that scales them for its γ."""
        found = self.file.specifications()
        factor = content_scale(np.concatenate([one.content for one in found]))
        return KernelMatcher([_points(one, factor) for one in found]), factor

    def distances(self, requirement: ImageRequirement) -> Doubles:
        """The paper's Eq. 9 of each of ``airs``: [M]; small is near."""
        matcher, factor = self._kernels
        points = requirement.points()
        return matcher.distances(Points(points.images * factor, points.prompts))

    def identify(self, images: Sequence[Any]) -> Identification:
        """From 1 to 6 example images: paths, bytes or Pillow images.

        Raises:
            BadInput: no image, or too many. BadImage: one cannot be decoded.
        """
        check_count(images)
        return self.of_features(self.encoder.encode(load_images(images)))

    def of_features(self, features: Features) -> Identification:
        """From encoded images."""
        evidence = self.learnt.evidence(features.style)
        return Identification(self.airs, self.learnt.log_probabilities(evidence))


def content_scale(content: npt.NDArray[np.floating]) -> float:
    """The factor that brings the mean squared distance of two images to 100, which the paper's γ are made
    for."""
    spread = 2 * content.astype(np.float64).var(0).sum()
    return float(np.sqrt(PAIR_DISTANCE / max(spread, 1e-12)))


def _points(one: Specification, factor: float) -> Points:
    text = one.text.astype(np.float64) if one.prompts.all() else None
    return Points(one.content.astype(np.float64) * factor, text)


def specification_path(catalog: Path, image: str, text: str) -> Path:
    """Where a catalog's specifications of a pair of encoders lie: beside it, named by the pair."""
    pair = "+".join(Path(name).name for name in (image, text))
    return catalog.with_name(f"{catalog.stem}.{pair}{SUFFIX}")


def specification_file(catalog: Path) -> Path | None:
    """The specifications beside a catalog: of the pair that was built last, where there are several."""
    found = [one for one in catalog.parent.glob(f"{_escaped(catalog.stem)}.*{SUFFIX}") if one.is_file()]
    return max(found, key=lambda one: (one.stat().st_mtime_ns, one.name), default=None)


def training(file: SpecificationFile) -> Training:
    """Every record; models are numbered as in ``file.airs``."""
    records = file.records
    numbers = {air.encode("utf-8"): n for n, air in enumerate(file.airs)}
    models = np.array([numbers[bytes(air)] for air in records["air"]], np.int64)
    return Training(
        records["style"].astype(np.float32),
        records["crops"],
        models,
        np.ascontiguousarray(records["prompt"]),
        file.encoders.layers,
    )


def learnt_space(file: SpecificationFile) -> LearntSpace:
    """The kept space where it was learnt from these very records; else a new one, kept for the next time."""
    path, stamp = space_path(file.path), _stamp(file)
    kept = _read_space(path, stamp)
    if kept is not None:
        return kept
    learnt = learn(training(file))
    _write_space(path, stamp, learnt)
    return learnt


def space_path(path: Path) -> Path:
    """Where the space of a specification file is kept."""
    return path.with_name(path.name + ".space.npz")


def _stamp(file: SpecificationFile) -> str:
    """Of what a space is learnt from: encoders, models, prompts, and a sample of the vectors."""
    records = file.records
    digest = hashlib.blake2b(file.encoders.digest.encode(), digest_size=16)
    for part in (
        records["air"],
        records["prompt"],
        records["style"][:, :: max(file.encoders.style // 64, 1)],
    ):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def _read_space(path: Path, stamp: str) -> LearntSpace | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            if facts["stamp"] != stamp:
                return None
            views = []
            for n, (start, stop, setting, factor) in enumerate(facts["views"]):
                space = Space(**{one.name: stored[f"{n}.{one.name}"] for one in fields(Space)})
                views.append(View(start, stop, Setting(**setting), factor, space))
        return LearntSpace(tuple(views), tuple(facts["temperatures"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged, or of another version: learnt again


def _write_space(path: Path, stamp: str, learnt: LearntSpace) -> None:
    views = [(one.start, one.stop, vars(one.setting), one.temperature) for one in learnt.views]
    facts = {"stamp": stamp, "views": views, "temperatures": learnt.temperatures}
    arrays: dict[str, npt.NDArray[Any]] = {
        f"{n}.{one.name}": getattr(view.space, one.name)
        for n, view in enumerate(learnt.views)
        for one in fields(Space)
    }
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            np.savez(stream, facts=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]
        part.replace(path)
    except OSError:  # a read-only folder: it is learnt again next time
        part.unlink(missing_ok=True)


def _escaped(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)
