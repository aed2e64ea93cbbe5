"""The corpus: a crawl's entries, each with the samples that a held-out rule lets through.

    RAW → survey (hashes, flags) → splits → entries of visible samples → AI Horde's merged in

Several passes over the raw answers, and constant memory beyond ids and prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from diffagent.data.catalog.cards import Entry, Survey, entries, entry_samples, survey
from diffagent.data.catalog.filters import Funnel, Scope, passing
from diffagent.data.catalog.holdout import Rule, splits, visible
from diffagent.data.catalog.horde_cards import horde_checkpoints, merge_horde
from diffagent.data.catalog.splits import Split
from diffagent.data.hubs.horde import HordeModel
from diffagent.data.hubs.raw import RawFolder
from diffagent.data.records import Sample


def read_entries(
    raw: RawFolder, scope: Scope, rule: Rule = "none", funnel: Funnel | None = None
) -> Iterator[Entry]:
    """Every entry of a crawl (Civitai's, then Horde's own) with the samples that the rule lets it see."""
    found = survey(raw.models(), scope, funnel)
    seen = None
    if rule != "none":
        seen = visible(_splits(raw, scope, rule), rule)
    kept = entries(raw.models(), found, scope, keep=lambda sample: seen is None or sample.image_id in seen)
    yield from _with_horde(kept, raw, found, scope)


def read_splits(
    raw: RawFolder, scope: Scope, progress: Callable[[int], None] = lambda done: None
) -> Mapping[int, tuple[Split, Split]]:
    """Image id → its split by cluster and by image, over every sample of a crawl.

    ``progress`` is called with the number of samples read so far.
    """
    return _splits(raw, scope, "both", progress)


def available_checkpoints(raw: RawFolder, found: Survey, scope: Scope) -> dict[str, str]:
    """Hash → AIR of every checkpoint that a LoRA's image can be said to run on: Civitai's that pass the
    filters, then AI Horde's own."""
    models = raw.horde() if "horde" in raw else ()
    return {**horde_checkpoints(models, found, scope), **found.checkpoints}


def _splits(
    raw: RawFolder, scope: Scope, rule: Rule, progress: Callable[[int], None] = lambda done: None
) -> dict[int, tuple[Split, Split]]:
    def read() -> Iterator[Sample]:
        passed = passing(raw.models(), scope)
        found = (sample for item, one in passed for sample in entry_samples(item, one))
        for done, sample in enumerate(found, 1):
            progress(done)
            yield sample

    return splits(read(), rule)


def _with_horde(kept: Iterable[Entry], raw: RawFolder, found: Survey, scope: Scope) -> Iterable[Entry]:
    models: Iterable[HordeModel] = raw.horde() if "horde" in raw else ()
    return merge_horde(kept, models, found, scope)
