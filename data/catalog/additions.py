"""Reads a file of model items or cards → catalog entries, and a message for each bad row.

The file is JSON (one object, a list, or an API answer with ``items``) or JSON lines. An object with
``modelVersions`` is a model item of Civitai's API, anything else is a card (data/catalog/card_json.py).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffagent.data.catalog.card_json import card_from_json
from diffagent.data.catalog.cards import Entry, Survey, entries, survey
from diffagent.data.catalog.catalog import Catalog, Filter
from diffagent.data.catalog.filters import judge
from diffagent.data.errors import BadInput


@dataclass(frozen=True)
class Additions:
    """What a file adds, and one line for each row that adds nothing."""

    entries: tuple[Entry, ...]
    errors: tuple[str, ...]


def read_additions(path: Path, catalog: Catalog) -> Additions:
    """Returns every good row's entries; checkpoints of LoRA images are looked up in the catalog too.

    Raises:
        BadInput: the file is not text.
    """
    rows, errors = _rows(path)
    additions: list[Entry] = []
    catalog_survey: Survey | None = None
    for where, row in rows:
        try:
            if "modelVersions" in row:
                catalog_survey = catalog_survey or _catalog_survey(catalog)
                additions += _of_item(row, catalog_survey)
            else:
                additions.append(Entry(card_from_json(row)))
        except BadInput as error:
            errors.append(f"{where}: {error}")
    return Additions(tuple(additions), tuple(errors))


def _of_item(item: dict[str, Any], catalog_survey: Survey) -> list[Entry]:
    name = str(item.get("name"))[:60]
    try:
        verdict = judge(item)
        if verdict.reason is not None:
            raise BadInput(f"model {name!r} is left out: {verdict.reason} (the filters of catalog import)")
        item_survey = survey([item])
        merged_survey = replace(
            item_survey, checkpoints={**item_survey.checkpoints, **catalog_survey.checkpoints}
        )
        return list(entries([item], merged_survey))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        kind = type(error).__name__
        raise BadInput(f"model {name!r} is not an item of Civitai's API ({kind}: {error})") from None


def _catalog_survey(catalog: Catalog) -> Survey:
    checkpoints = catalog.cards(Filter("Checkpoint"))
    return Survey({digest: card.air for card in reversed(checkpoints) for digest in card.hashes})


def _rows(path: Path) -> tuple[list[tuple[str, dict[str, Any]]], list[str]]:
    """Returns the file's objects with their places, and a message for each row that is not an object."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot read {path} ({error}): give a JSON or JSON lines file in UTF-8") from None
    try:
        document: Any = json.loads(text)
    except ValueError:
        values = [(f"{path.name}:{n}", line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        rows = [(where, _parse(line)) for where, line in values]
    else:
        items = document.get("items", document) if isinstance(document, dict) else document
        items = items if isinstance(items, list) else [items]
        rows = [(f"{path.name}[{n}]", value) for n, value in enumerate(items)]
    good = [(where, value) for where, value in rows if isinstance(value, dict)]
    bad = [f"{where}: not a JSON object" for where, value in rows if not isinstance(value, dict)]
    return good, bad


def _parse(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
