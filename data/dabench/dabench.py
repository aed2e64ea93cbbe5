"""DABench: the instruction–API pairs of a crawl, split, with their statistics and dataset card (paper, 3.1).

    DABENCH/train.jsonl, align.jsonl, test.jsonl   8:1:1 by cluster of near-duplicate prompts
    DABENCH/test_novel.jsonl                       the test pairs without a similar train prompt
    DABENCH/test_new_model.jsonl                   all pairs of models that no train, align or test pair names
    DABENCH/overall.jsonl                          test images of the rule without clusters, of every callable
                                                   model: what ``diffagent eval select`` measures a catalog by
    DABENCH/listed.jsonl                           pairs of newer base models from other lists, each with its
                                                   split; only with lists
    DABENCH/README.md, funnel.png, stats.json      dataset card, plot, statistics with the files' digests

A folder without ``stats.json`` is not complete. The same crawl and options give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple

from diffagent.data.catalog.cards import entries, survey
from diffagent.data.catalog.corpus import available_checkpoints, read_splits
from diffagent.data.catalog.filters import Scope
from diffagent.data.catalog.quality import Quality, low_quality
from diffagent.data.catalog.splits import NEAR, Split
from diffagent.data.dabench.dataset_card import dataset_card
from diffagent.data.dabench.funnel import Tally
from diffagent.data.dabench.listed import ListedPairs
from diffagent.data.dabench.novelty import NOVEL_BELOW, novel
from diffagent.data.dabench.pairs import Row, pair
from diffagent.data.descriptions.descriptions import Description, with_descriptions
from diffagent.data.encoders.text_encoder import Encoder
from diffagent.data.errors import BadInput
from diffagent.data.hubs.raw import RawFolder

FILES = ("train", "align", "test", "test_novel", "test_new_model", "overall", "listed")
STATS, CARD, PLOT, FORMAT = "stats.json", "README.md", "funnel.png", 1
NEW_MODELS = 3
"""Percentage of the models that only ``test_new_model`` has."""

Progress = Callable[[str, int, int | None], None]
Plotter = Callable[[Mapping[str, Any], Path], None]


class Pair(NamedTuple):
    """A row, its model, and whether the quality filter keeps that model's entry."""

    row: Row
    model_id: int
    of_quality: bool


def is_new_model(model_id: int) -> bool:
    """Whether only ``test_new_model`` may have the model: SHA-256 of the id's decimal digits, modulo 100, is
    below 3."""
    return int(hashlib.sha256(str(model_id).encode("ascii")).hexdigest(), 16) % 100 < NEW_MODELS


def read_pairs(
    raw: RawFolder,
    scope: Scope,
    quality: Quality,
    tally: Tally,
    descriptions: Mapping[str, Description] = MappingProxyType({}),
) -> Iterator[Pair]:
    """Yields every pair of a crawl in the order of its models, and tallies everything dropped.

    ``descriptions``, by AIR, replace the composed ones.
    """
    first_pass = survey(tally.census.watching(raw.models()), scope, tally.models)
    low = low_quality(first_pass.standings, quality)
    tally.low_entries.update(low.values())
    checkpoints = available_checkpoints(raw, first_pass, scope)
    crawl_entries = entries(raw.models(), first_pass, scope, dropped=tally.no_sample)
    for entry in with_descriptions(crawl_entries, descriptions):
        reason, any_kept = low.get(entry.card.air), False
        tally.samples += len(entry.samples)
        for sample in entry.samples:
            row = pair(entry, sample, checkpoints)
            if isinstance(row, str):
                tally.no_pair[row] += 1
                continue
            if reason is not None:
                tally.low_pairs[reason] += 1
            any_kept, tally.pairs = reason is None, tally.pairs + (reason is None)
            assert entry.card.model_id is not None
            yield Pair(row, entry.card.model_id, reason is None)
        tally.entries_with_pairs += any_kept


def count_pairs(raw: RawFolder, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Returns ``crawled`` and ``funnel`` as a build with the default filters would count them."""
    tally = Tally()
    for number, _ in enumerate(read_pairs(raw, Scope(), Quality(), tally), 1):
        progress("pairs", number, None)
    return {"crawled": tally.census.to_json(), "funnel": tally.to_json()}


def files_of(pair: Pair, splits: tuple[Split, Split]) -> tuple[str, ...]:
    """The files of a pair, by its image's splits by cluster and by image."""
    by_cluster, by_image = splits
    names = ("test_new_model" if is_new_model(pair.model_id) else by_cluster,) if pair.of_quality else ()
    return (*names, "overall") if by_image == "test" else names


def build(
    raw: RawFolder,
    out: Path,
    quality: Quality,
    encoder: Encoder | None,
    plotter: Plotter | None = None,
    progress: Progress = lambda *_: None,
    descriptions: Mapping[str, Description] = MappingProxyType({}),
    listed: ListedPairs | None = None,
) -> dict[str, Any]:
    """Writes the folder and returns its statistics. Files get their names when all of them are complete.

    Args:
        encoder: encodes the prompts for ``test_novel``; None: without that file.
        plotter: draws the statistics into a PNG file; None: without it.
        descriptions: models' descriptions by AIR, in place of the composed ones.
        listed: pairs of other lists; None: without their file.
    """
    scope, tally = Scope(), Tally()
    splits = read_splits(raw, scope, lambda done: progress("splits", done, None))
    without = {"test_novel": encoder is None, "listed": listed is None}
    names = [name for name in FILES if not without.get(name)]
    with Parts(out, names) as parts:
        for number, pair in enumerate(read_pairs(raw, scope, quality, tally, descriptions), 1):
            progress("pairs", number, None)
            for name in files_of(pair, splits[pair.row["source"]["image"]]):
                parts.add(name, pair.row)
        if encoder is not None:
            _add_novel(parts, encoder, progress)
        for row in listed.rows if listed is not None else ():
            parts.add("listed", row)
        stats = _statistics(raw, quality, tally, parts, listed)
        if plotter is not None:
            plotter(stats, parts.path(PLOT))
        parts.path(CARD).write_text(dataset_card(stats, plotter is not None), "utf-8")
        parts.path(STATS).write_text(json.dumps(stats, indent=2, ensure_ascii=False) + "\n", "utf-8")
        parts.publish([*names, CARD, *([PLOT] if plotter is not None else []), STATS])
    return stats


def read_statistics(folder: Path) -> dict[str, Any]:
    """Returns the statistics of a built folder.

    Raises:
        BadInput: the build is not complete, or of another version.
    """
    try:
        stats = json.loads((folder / STATS).read_bytes())
    except (OSError, ValueError):
        raise BadInput(f"{folder} holds no complete DABench", "build it with diffagent data build") from None
    if not isinstance(stats, dict) or stats.get("format") != FORMAT:
        raise BadInput(f"{folder / STATS} is not of format {FORMAT}: build the folder again")
    return stats


@dataclass
class _PartFile:
    stream: IO[bytes]
    digest: Any = field(default_factory=hashlib.sha256)
    rows: int = 0
    airs: set[str] = field(default_factory=set)
    groups: Counter[str] = field(default_factory=Counter)


class Parts:
    """The files of a folder under temporary names, until :meth:`publish` renames them."""

    def __init__(self, out: Path, names: list[str]) -> None:
        self._out, self._names, self._stack = out, names, ExitStack()
        self._files: dict[str, _PartFile] = {}

    def __enter__(self) -> Parts:
        self._out.mkdir(parents=True, exist_ok=True)
        for name in self._names:
            self._files[name] = _PartFile(self._stack.enter_context(self.path(name).open("wb")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def path(self, name: str) -> Path:
        """The path of a file until it is published."""
        return self._out / f"{_file_name(name)}.part"

    def add(self, name: str, row: Row) -> None:
        file, line = self._files[name], json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        file.stream.write(line)
        file.digest.update(line)
        file.rows += 1
        file.airs.add(row["air"])
        file.groups[f"{row['api']['type']}, {row['api']['base_model']}"] += 1

    def read(self, name: str) -> Iterator[Row]:
        """The rows added so far."""
        self._files[name].stream.flush()
        with self.path(name).open("rb") as lines:
            yield from map(json.loads, lines)

    def counts(self) -> dict[str, dict[str, Any]]:
        """File → rows, distinct models, rows by type and base model, SHA-256."""
        return {
            name: {
                "rows": file.rows,
                "models": len(file.airs),
                "groups": dict(sorted(file.groups.items())),
                "sha256": file.digest.hexdigest(),
            }
            for name, file in self._files.items()
        }

    def publish(self, names: list[str]) -> None:
        """Renames the files in order; the folder is complete with the last one."""
        self._stack.close()
        (self._out / _file_name(names[-1])).unlink(missing_ok=True)
        for old in {_file_name(name) for name in (*FILES, PLOT)} - {_file_name(name) for name in names}:
            (self._out / old).unlink(missing_ok=True)
        for name in names:
            self.path(name).replace(self._out / _file_name(name))


def _add_novel(parts: Parts, encoder: Encoder, progress: Progress) -> None:
    def prompts(name: str) -> Iterator[str]:
        return (row["instruction"]["prompt"] for row in parts.read(name))

    total = parts.counts()["train"]["rows"]
    progress("novel", 0, total)
    flags = novel(
        list(prompts("test")), prompts("train"), encoder, progress=lambda done: progress("novel", done, total)
    )
    for row, is_novel in zip(parts.read("test"), flags, strict=True):
        if is_novel:
            parts.add("test_novel", row)


def _statistics(
    raw: RawFolder, quality: Quality, tally: Tally, parts: Parts, listed: ListedPairs | None
) -> dict[str, Any]:
    crawled, files = raw.manifest["civitai"], parts.counts()
    digests = "".join(f"{name} {file['sha256']}\n" for name, file in files.items())
    return {
        "format": FORMAT,
        "digest": hashlib.sha256(digests.encode()).hexdigest(),
        "source": {key: crawled.get(key) for key in ("digest", "newest")},
        "rules": {
            "dropped_by_downloads": quality.downloads,
            "dropped_by_rating": quality.rating,
            "near_duplicate_jaccard": NEAR,
            "novel_below_cosine": NOVEL_BELOW,
            "new_models_percent": NEW_MODELS,
        },
        "crawled": tally.census.to_json(),
        "funnel": tally.to_json() | ({"lists": listed.stages()} if listed is not None else {}),
        **({"listed": listed.counts()} if listed is not None else {}),
        "files": files,
    }


def _file_name(name: str) -> str:
    return name if "." in name else f"{name}.jsonl"
