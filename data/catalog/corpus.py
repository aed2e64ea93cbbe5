"""The corpus: a crawl's entries, each with the samples that a held-out rule keeps visible.

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
    """Yields every entry of a crawl (Civitai's, then Horde's) with its visible samples."""
    first_pass = survey(raw.models(), scope, funnel)
    image_ids = None
    if rule != "none":
        image_ids = visible(_splits(raw, scope, rule), rule)
    civitai_entries = entries(
        raw.models(), first_pass, scope, keep=lambda sample: image_ids is None or sample.image_id in image_ids
    )
    yield from _with_horde(civitai_entries, raw, first_pass, scope)


def read_splits(
    raw: RawFolder, scope: Scope, progress: Callable[[int], None] = lambda done: None
) -> Mapping[int, tuple[Split, Split]]:
    """Image id → its splits by cluster and by image, for every sample of a crawl.

    ``progress`` receives the number of samples read.
    """
    return _splits(raw, scope, "both", progress)


def available_checkpoints(raw: RawFolder, first_pass: Survey, scope: Scope) -> dict[str, str]:
    """Hash → AIR of the available checkpoints: Civitai's that pass the filters, then AI Horde's."""
    models = raw.horde() if "horde" in raw else ()
    return {**horde_checkpoints(models, first_pass, scope), **first_pass.checkpoints}


def _splits(
    raw: RawFolder, scope: Scope, rule: Rule, progress: Callable[[int], None] = lambda done: None
) -> dict[int, tuple[Split, Split]]:
    def read() -> Iterator[Sample]:
        versions = passing(raw.models(), scope)
        gallery = (sample for item, version in versions for sample in entry_samples(item, version))
        for done, sample in enumerate(gallery, 1):
            progress(done)
            yield sample

    return splits(read(), rule)


def _with_horde(
    civitai_entries: Iterable[Entry], raw: RawFolder, first_pass: Survey, scope: Scope
) -> Iterable[Entry]:
    models: Iterable[HordeModel] = raw.horde() if "horde" in raw else ()
    return merge_horde(civitai_entries, models, first_pass, scope)
