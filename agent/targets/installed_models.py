"""Reading a server's models, matched to the catalog, and its samplers.

In: a target with lists (``ServerLists``) and an address. Out: :class:`Installed`, from which the agent
chooses. A model is recognised by hash where the server tells it (A1111), else by file name (ComfyUI), else by
display name (AI Horde). A file name shared by several files is ambiguous. The server's lists are cached for
ten minutes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from diffagent.agent.executors.images import replace_file
from diffagent.agent.executors.wire import Wire
from diffagent.agent.targets import ITSELF, TABLE, load
from diffagent.agent.targets.installed import Installed
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadInput, Unreachable
from diffagent.data.records import Card
from diffagent.data.weights.weights import home

LIFETIME = 600.0
"""Seconds."""
BACKOFF = 0.5
"""The first wait after a fault, in seconds."""

Lists = dict[str, Any]


def read_installed(
    target: str, url: str | None, catalog: Catalog, *, lifetime: float = LIFETIME, cache: Path | None = None
) -> Installed:
    """Returns what a server has, read now or at most ``lifetime`` seconds ago; ``url``: None is the default.

    Raises:
        BadInput: the target has no lists of models, or none of its models is in the catalog.
        TargetError: the server does not answer.
    """
    url, lists = read_lists(target, url, lifetime=lifetime, cache=cache)
    understand = load(target).lists
    assert understand is not None
    installed = understand.understand(url, lists, catalog)
    if not installed.names:
        some = ", ".join(installed.unknown[:5]) or "none at all"
        raise BadInput(
            f"{url} has {len(installed.unknown)} models, none of which is in the catalog ({some})",
            "add them with diffagent library DIR, DIR being the folder that holds them",
        )
    return installed


def read_lists(
    target: str, url: str | None, *, lifetime: float = LIFETIME, cache: Path | None = None
) -> tuple[str, Lists]:
    """Returns a server's address and its lists, as JSON.

    Raises:
        BadInput: the target has no lists. TargetError: the server does not answer.
    """
    api = None if target == ITSELF else load(target)
    if api is None or api.lists is None:
        able = [name for name in TABLE if load(name).lists is not None]
        raise BadInput(
            f"{target} has no list of installed models", f"--installed goes with {', '.join(able)}"
        )
    url = url or api.usual_url
    assert url is not None
    path = (cache or home() / "installed") / (
        hashlib.sha256(f"{target} {url}".encode()).hexdigest()[:16] + ".json"
    )
    lists = _cached_lists(path, lifetime)
    if lists is None:
        lists = asyncio.run(_ask_lists(api.lists.ask, url))
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps({"at": time.time(), "lists": lists}).encode())
    return url, lists


async def _ask_lists(ask: Callable[[Wire], Awaitable[Lists]], url: str) -> Lists:
    async with Wire(
        url, remedy="start the server, or give its address with --target-url", backoff=BACKOFF
    ) as wire:
        try:
            lists = await ask(wire)
        except (TypeError, KeyError, IndexError, AttributeError):
            raise Unreachable(f"{url}: its lists of models do not have the form of this API") from None
        return lists


def _cached_lists(path: Path, lifetime: float) -> Lists | None:
    try:
        stored = json.loads(path.read_text("utf-8"))
        return stored["lists"] if 0 <= time.time() - stored["at"] < lifetime else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


_BY_NAME, _BY_VERSION, _BY_FILE = range(3)
"""Proofs of a match, weakest first: the name, a hash of any version, the hash of the file itself."""


def match_models(
    models: list[dict[str, Any]], catalog: Catalog
) -> tuple[dict[str, str], tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Matches models to the catalog: :class:`Installed`'s ``names``, ``unknown`` and ``ambiguous``."""
    by_air: dict[str, list[tuple[int, str]]] = {}
    unknown = []
    for model in models:
        card, proof = _card(model["name"], model.get("hash"), catalog)
        if card is None:
            unknown.append(model["name"])
        else:
            by_air.setdefault(card.air, []).append((proof, model.get("title", model["name"])))
    names, ambiguous = {}, {}
    for air, files in by_air.items():
        best = max(proof for proof, _ in files)
        same = tuple(dict.fromkeys(name for proof, name in files if proof == best))
        if best == _BY_NAME and len(same) > 1:
            ambiguous[air] = same
        else:
            names[air] = same[0]
    return names, tuple(unknown), ambiguous


def _card(name: str, digest: str | None, catalog: Catalog) -> tuple[Card | None, int]:
    """Returns the card by hash; a file of the same name with another hash is another model."""
    if digest:
        card = catalog.by_hash(digest)
        if card is not None:
            is_current = digest.casefold() in (card.sha256, card.autov2, (card.sha256 or "")[:10])
            return card, _BY_FILE if is_current else _BY_VERSION
        same = catalog.by_file(name)
        return same if same is not None and not same.hashes else None, _BY_NAME
    return catalog.by_file(name) or catalog.by_name(name), _BY_NAME
