"""Identification: from example images to the models of a catalog that make such images, with probabilities.

    identifier = Identifier.beside(catalog.path)            # None where the catalog has no specifications
    found = identifier.identify(["a.png", "b.png"])
    found.best(5), found.unsure

The matching space is learnt when specifications are built, and stored beside them with a stamp of its
training data; a space that does not fit its specifications is learnt again.
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
from diffagent.agent.pmi.learning import LearntSpace, TrainingImages, View, learn
from diffagent.agent.pmi.requirement import ImageRequirement, check_count
from diffagent.agent.pmi.space import Doubles, Space, SpaceSetting
from diffagent.agent.pmi.specification_file import Specification, SpecificationFile
from diffagent.data.encoders.features import Features
from diffagent.data.encoders.image_encoder import ImageEncoder, load_image_encoder
from diffagent.data.encoders.image_loading import load_images

SUFFIX = ".pmi"
SURE = 0.5
"""The probability above which the best model is sure: more probable than not."""
PAIR_DISTANCE = 100.0
LIKELY = 0.9
"""The total probability of the likely models."""


@dataclass(frozen=True)
class Identification:
    """``log_probabilities`` [M] of ``airs``, calibrated on the hub's own images."""

    airs: tuple[str, ...]
    log_probabilities: Doubles

    def best(self, k: int = 5) -> list[tuple[str, float]]:
        """Returns the k most probable models with their probabilities."""
        order = np.argsort(-self.log_probabilities, kind="stable")[:k]
        return [(self.airs[i], float(np.exp(self.log_probabilities[i]))) for i in order]

    @property
    def unsure(self) -> bool:
        """Whether no model is more probable than all others together."""
        return float(np.exp(self.log_probabilities.max())) < SURE

    @property
    def likely(self) -> int:
        """How many of the best models have 90 % of the probability together."""
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
        """Loads the specifications beside a catalog; None where there are none."""
        path = specification_file(catalog)
        return None if path is None else cls.load(path, encoder)

    @classmethod
    def load(cls, path: Path, encoder: ImageEncoder | None = None) -> Self:
        """Loads a file of specifications.

        Raises:
            BadSpecifications: it cannot be read. BadInput: it has too little to tell models apart.
        """
        file = SpecificationFile.open(path)
        return cls(file, learnt_space(file), encoder)

    @cached_property
    def encoder(self) -> ImageEncoder:
        """The encoder that made the specifications; loaded on first use.

        Raises:
            MissingWeights: it is missing. BadSpecifications: its bytes have changed.
        """
        encoders = self.file.encoders
        encoder = self._given or load_image_encoder(encoders.image)
        self.file.check_image_encoder(encoder.name, encoder.digest)
        return encoder

    @cached_property
    def _kernels(self) -> tuple[KernelMatcher, float]:
        """The paper's matcher of the specifications, and the factor that scales them for its γ."""
        specifications = self.file.specifications()
        factor = content_scale(np.concatenate([specification.content for specification in specifications]))
        return KernelMatcher([_points(specification, factor) for specification in specifications]), factor

    def distances(self, requirement: ImageRequirement) -> Doubles:
        """Returns the paper's Eq. 9 of each of ``airs``: [M]; small is near."""
        matcher, factor = self._kernels
        points = requirement.points()
        return matcher.distances(Points(points.images * factor, points.prompts))

    def identify(self, images: Sequence[Any]) -> Identification:
        """Identifies 1 to 6 example images: paths, bytes or Pillow images.

        Raises:
            BadInput: no image, or too many. BadImage: one cannot be decoded.
        """
        check_count(images)
        return self.of_features(self.encoder.encode(load_images(images)))

    def of_features(self, features: Features) -> Identification:
        """Identifies encoded images."""
        evidence = self.learnt.evidence(features.style)
        return Identification(self.airs, self.learnt.log_probabilities(evidence))


def content_scale(content: npt.NDArray[np.floating]) -> float:
    """Returns the factor that brings the mean squared distance of two images to 100, the scale of the paper's
    γ."""
    spread = 2 * content.astype(np.float64).var(0).sum()
    return float(np.sqrt(PAIR_DISTANCE / max(spread, 1e-12)))


def _points(specification: Specification, factor: float) -> Points:
    text = specification.text.astype(np.float64) if specification.prompts.all() else None
    return Points(specification.content.astype(np.float64) * factor, text)


def specification_path(catalog: Path, image: str, text: str) -> Path:
    """Returns the path of a catalog's specifications for a pair of encoders: beside it, named by the pair."""
    pair = "+".join(Path(name).name for name in (image, text))
    return catalog.with_name(f"{catalog.stem}.{pair}{SUFFIX}")


def specification_file(catalog: Path) -> Path | None:
    """Returns the specifications beside a catalog; the latest where there are several."""
    candidates = [
        path for path in catalog.parent.glob(f"{_escape(catalog.stem)}.*{SUFFIX}") if path.is_file()
    ]
    return max(candidates, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def training(file: SpecificationFile) -> TrainingImages:
    """Returns every record as training images; models are numbered as in ``file.airs``."""
    records = file.records
    numbers = {air.encode("utf-8"): n for n, air in enumerate(file.airs)}
    models = np.array([numbers[bytes(air)] for air in records["air"]], np.int64)
    return TrainingImages(
        records["style"].astype(np.float32),
        records["crops"],
        models,
        np.ascontiguousarray(records["prompt"]),
        file.encoders.layers,
    )


def learnt_space(file: SpecificationFile) -> LearntSpace:
    """Returns the stored space where it was learnt from these records; else learns and stores one."""
    path, stamp = space_path(file.path), _stamp(file)
    stored = _read_space(path, stamp)
    if stored is not None:
        return stored
    learnt = learn(training(file))
    _write_space(path, stamp, learnt)
    return learnt


def space_path(path: Path) -> Path:
    """Returns the path of a specification file's space."""
    return path.with_name(path.name + ".space.npz")


def _stamp(file: SpecificationFile) -> str:
    """Returns a digest of a space's training data: encoders, models, prompts, and a sample of the vectors."""
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
                space = Space(**{field.name: stored[f"{n}.{field.name}"] for field in fields(Space)})
                views.append(View(start, stop, SpaceSetting(**setting), factor, space))
        return LearntSpace(tuple(views), tuple(facts["temperatures"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged, or another version: learnt again


def _write_space(path: Path, stamp: str, learnt: LearntSpace) -> None:
    views = [(view.start, view.stop, vars(view.setting), view.temperature) for view in learnt.views]
    facts = {"stamp": stamp, "views": views, "temperatures": learnt.temperatures}
    arrays: dict[str, npt.NDArray[Any]] = {
        f"{n}.{field.name}": getattr(view.space, field.name)
        for n, view in enumerate(learnt.views)
        for field in fields(Space)
    }
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            np.savez(stream, facts=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]
        part.replace(path)
    except OSError:  # a read-only folder: it is learnt again next time
        part.unlink(missing_ok=True)


def _escape(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)
