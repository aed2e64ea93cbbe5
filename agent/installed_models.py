"""What a server has: its models matched to the catalog, its samplers.

In: a target (``a1111``, ``comfyui``, ``horde``) and an address. Out: :class:`Installed`, from which the
agent chooses. A model is recognised by hash where the server tells it (A1111), else by file name (ComfyUI),
else by display name (AI Horde). A file name that several files have tells nothing, and is kept apart. The
server's lists are kept for ten minutes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from diffagent.agent.executors.images import replace_file
from diffagent.agent.executors.wire import Wire
from diffagent.agent.targets import a1111, comfyui
from diffagent.agent.targets.civitai import is_hosted
from diffagent.agent.targets.fitting import Resources
from diffagent.agent.targets.horde import name_of
from diffagent.data.catalog import Catalog, Filter
from diffagent.data.errors import BadInput, TargetError, Unreachable
from diffagent.data.records import Card
from diffagent.data.samplers import Sampler
from diffagent.data.weights import home

LIFETIME = 600.0
"""Seconds."""
BACKOFF = 0.5
"""The first wait after a fault, in seconds."""

Lists = dict[str, Any]


@dataclass(frozen=True)
class Installed:
    """``names``: AIR → what the server calls the model; ``unknown``: its models that the catalog lacks.

    ``ambiguous``: AIR → the files there that have the model's name, where no hash tells which it is.
    """

    target: str
    url: str
    names: Mapping[str, str]
    samplers: tuple[Sampler, ...] | None = None
    unknown: tuple[str, ...] = ()
    ambiguous: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check_unambiguous(self, resources: Resources) -> None:
        """Refuses a model whose name several files have.

        Raises:
            BadInput: it names them.
        """
        for card in resources.cards:
            if files := self.ambiguous.get(card.air):
                raise BadInput(
                    f"{self.url} has {len(files)} files by the name of {card.name} and does not say which it "
                    f"is ({', '.join(files)}): give the others another name"
                )

    def check_present(self, resources: Resources) -> None:
        """Refuses a model that is not there, even where another file has its name.

        Raises:
            BadInput: it names the model.
        """
        for card in resources.cards:
            if card.air not in self.names:
                raise BadInput(
                    f"{self.url} does not have {card.name} ({card.file_name or card.air}): put the file "
                    "there, or choose among what it has with diffagent call --installed"
                )


def read_installed(
    target: str, url: str, catalog: Catalog, *, lifetime: float = LIFETIME, cache: Path | None = None
) -> Installed:
    """What the server at ``url`` has, asked now or at most ``lifetime`` seconds ago.

    Raises:
        BadInput: the target has no such lists, or none of its models is in the catalog.
        TargetError: the server does not answer.
    """
    if target not in _READERS:
        raise BadInput(
            f"{target} has no list of installed models: --installed goes with {', '.join(_READERS)}"
        )
    ask, understand = _READERS[target]
    path = (cache or home() / "installed") / (
        hashlib.sha256(f"{target} {url}".encode()).hexdigest()[:16] + ".json"
    )
    lists = _kept(path, lifetime)
    if lists is None:
        lists = asyncio.run(_asked(ask, url))
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, json.dumps({"at": time.time(), "lists": lists}).encode())
    found: Installed = understand(target, url, lists, catalog)
    if not found.names:
        raise BadInput(
            f"{url} has {len(found.unknown)} models, none of which is in the catalog: add them with "
            "diffagent data crawl --installed and diffagent catalog import"
        )
    return found


async def _asked(ask: Any, url: str) -> Lists:
    async with Wire(
        url, remedy="start the server, or give its address with --target-url", backoff=BACKOFF
    ) as wire:
        try:
            found: Lists = await ask(wire)
        except (TypeError, KeyError, IndexError, AttributeError):
            raise Unreachable(f"{url}: its lists of models are none that such a server gives") from None
        return found


def _kept(path: Path, lifetime: float) -> Lists | None:
    try:
        stored = json.loads(path.read_text("utf-8"))
        return stored["lists"] if 0 <= time.time() - stored["at"] < lifetime else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _ask_a1111(wire: Wire) -> Lists:
    """Items as in ``modules/api/models.py``; ``/loras`` is of the built-in LoRA extension.

    A title is a checkpoint's path and hash, by which A1111 keeps them (``modules/sd_models.py``). Of LoRAs
    with one name A1111 knows the last alone (``networks.py``).
    """
    models = await wire.get("/sdapi/v1/sd-models")
    loras = await wire.get("/sdapi/v1/loras")
    try:
        schedules = [one["label"] for one in await wire.get("/sdapi/v1/schedulers")]
    except TargetError:
        schedules = []  # before 1.9
    return {
        "checkpoints": [
            {
                "name": re.sub(r" \[[0-9a-f]+\]$", "", one["title"]),
                "title": one["title"],
                "hash": one.get("sha256") or one.get("hash"),
            }
            for one in models
        ],
        "loras": [{"name": one["name"]} for one in loras],
        "samplers": [one["name"] for one in await wire.get("/sdapi/v1/samplers")],
        "schedules": schedules,
    }


def _understand_a1111(target: str, url: str, lists: Lists, catalog: Catalog) -> Installed:
    has, schedules = set(lists["samplers"]), set(lists["schedules"])

    def known(sampler: Sampler) -> bool:
        spelled = a1111.spelling(sampler)
        if spelled is None:
            return False
        return spelled[0] in has and spelled[1] in schedules if schedules else str(sampler) in has

    names, unknown, ambiguous = _matched(lists["checkpoints"] + lists["loras"], catalog)
    able = tuple(filter(known, a1111.TARGET.samplers))
    return Installed(target, url, names, able, unknown, ambiguous)


async def _ask_comfyui(wire: Wire) -> Lists:
    """Options of nodes' inputs in ``/object_info``: a list in place of a type, or ``COMBO`` with options."""

    async def options(node: str, name: str) -> list[str]:
        kind, *more = (await wire.get(f"/object_info/{node}"))[node]["input"]["required"][name]
        return list(kind if isinstance(kind, list) else more[0]["options"])

    return {
        "checkpoints": await options("CheckpointLoaderSimple", "ckpt_name"),
        "loras": await options("LoraLoader", "lora_name"),
        "samplers": await options("KSampler", "sampler_name"),
        "schedules": await options("KSampler", "scheduler"),
    }


def _understand_comfyui(target: str, url: str, lists: Lists, catalog: Catalog) -> Installed:
    def known(sampler: Sampler) -> bool:
        spelled = comfyui.spelling(sampler)
        return spelled is not None and spelled[0] in lists["samplers"] and spelled[1] in lists["schedules"]

    models = [{"name": name} for name in lists["checkpoints"] + lists["loras"]]
    names, unknown, ambiguous = _matched(models, catalog)
    able = tuple(filter(known, comfyui.TARGET.samplers))
    return Installed(target, url, names, able, unknown, ambiguous)


async def _ask_horde(wire: Wire) -> Lists:
    """``ActiveModel`` of ``horde/apis/models/v2.py``: the models that workers run now."""
    found = await wire.get("/api/v2/status/models", {"type": "image"})
    return {"checkpoints": [one["name"] for one in found if one["count"]]}


def _understand_horde(target: str, url: str, lists: Lists, catalog: Catalog) -> Installed:
    """Its workers fetch any of Civitai's LoRAs, so all of them count as there."""
    checkpoints = catalog.cards(Filter(type="Checkpoint"))
    named = {card.name.casefold(): card for card in reversed(checkpoints)}
    named |= {name.casefold(): card for card in reversed(checkpoints) if (name := name_of(card))}
    names = {named[name.casefold()].air: name for name in lists["checkpoints"] if name.casefold() in named}
    unknown = [name for name in lists["checkpoints"] if name.casefold() not in named]
    if names:
        names |= {
            card.air: str(card.version_id) for card in catalog.cards(Filter(type="LoRA")) if is_hosted(card)
        }
    return Installed(target, url, names, None, tuple(unknown))


_BY_NAME, _BY_VERSION, _BY_FILE = range(3)
"""How sure a model is recognised: by its name, by a hash of any of its versions, by that of its own file."""


def _matched(
    models: list[dict[str, Any]], catalog: Catalog
) -> tuple[dict[str, str], tuple[str, ...], dict[str, tuple[str, ...]]]:
    """:class:`Installed`'s ``names``, ``unknown`` and ``ambiguous``."""
    found: dict[str, list[tuple[int, str]]] = {}
    unknown = []
    for model in models:
        card, proof = _card(model["name"], model.get("hash"), catalog)
        if card is None:
            unknown.append(model["name"])
        else:
            found.setdefault(card.air, []).append((proof, model.get("title", model["name"])))
    names, ambiguous = {}, {}
    for air, files in found.items():
        best = max(proof for proof, _ in files)
        same = tuple(dict.fromkeys(name for proof, name in files if proof == best))
        if best == _BY_NAME and len(same) > 1:
            ambiguous[air] = same
        else:
            names[air] = same[0]
    return names, tuple(unknown), ambiguous


def _card(name: str, digest: str | None, catalog: Catalog) -> tuple[Card | None, int]:
    """By hash; a file of the same name but another hash is another model."""
    if digest:
        found = catalog.by_hash(digest)
        if found is not None:
            own = digest.casefold() in (found.sha256, found.autov2, (found.sha256 or "")[:10])
            return found, _BY_FILE if own else _BY_VERSION
        same = catalog.by_file(name)
        return same if same is not None and not same.hashes else None, _BY_NAME
    return catalog.by_file(name) or catalog.by_name(name), _BY_NAME


_READERS: dict[str, tuple[Any, Any]] = {
    "a1111": (_ask_a1111, _understand_a1111),
    "comfyui": (_ask_comfyui, _understand_comfyui),
    "horde": (_ask_horde, _understand_horde),
}
