"""Sample images of models that come without: each model makes one for each prompt (CGI paper, Eq. 3).

The prompts are ours (``prompts.txt``, 61, versioned) or the developer's. Images are kept in a folder a
model with the prompt in a ``.txt`` beside each, so that a run that was cut off goes on, and the folder can
be built again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from diffagent.agent.pmi.manifest import Example
from diffagent.data.air import AIR
from diffagent.data.catalog import Catalog
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, T2ICall

Report = Callable[[str], None]
SEED = 0
"""Of the first prompt; the next one takes the next."""


class Maker(Protocol):
    """Makes one image of a call and returns its file."""

    def __call__(self, call: T2ICall, folder: Path) -> Path: ...


def read_prompts(path: Path | None = None) -> list[str]:
    """Prompts of a text file, one a line; lines that begin with # are comments. By default ours.

    Raises:
        BadInput: it holds none, or is not text.
    """
    try:
        source = path or Path(str(files("diffagent.agent") / "pmi" / "prompts.txt"))
        lines = source.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"cannot read the prompts {path} ({error}): give a text file, a prompt a line"
        ) from None
    found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not found:
        raise BadInput(f"{source} holds no prompts: give a text file, a prompt a line")
    return found


def generate_examples(
    models: Sequence[str],
    catalog_path: Path,
    prompts: Path | None,
    folder: Path,
    target: str = "diffusers",
    target_url: str | None = None,
    report: Report = lambda line: None,
    maker: Maker | None = None,
) -> list[Example]:
    """An image of each model for each prompt, made where it is not there yet.

    Raises:
        UnknownModel: a model is not in the catalog. TargetError: the target did not deliver.
    """
    texts = read_prompts(prompts)
    found: list[Example] = []
    with Catalog.open(catalog_path) as catalog:
        make = maker or _maker(catalog, target, target_url)
        for name in models:
            card = catalog.find(name)
            own = folder / AIR.parse(card.air).key.replace("/", "_")
            report(f"{card.name}: {len(texts)} images in {own}")
            for number, text in enumerate(texts):
                file = own / f"{number:03d}.png"
                if not file.is_file():
                    _keep(make(_call(card, catalog, text, SEED + number), own / "made"), file, text)
                found.append(Example(file, card.air, text, number))
    return found


def _call(card: Card, catalog: Catalog, prompt: str, seed: int) -> T2ICall:
    """The card's most used settings; a LoRA on the checkpoint that it is most used with."""
    from diffagent.agent.answer import expand
    from diffagent.agent.settings import settings
    from diffagent.agent.wishes import Wishes
    from diffagent.data.records import Usage

    wished = Wishes(prompt=prompt)
    usual = settings(card, Usage(), wished)
    carrier = None
    if card.type == "LoRA":
        counts = card.usage.checkpoints
        base = max(counts, key=lambda air: (counts[air], air), default=None)
        carrier = catalog.by_air(base) if base else None
        if carrier is None:
            raise BadInput(
                f"{card.name} is a LoRA and its card names no checkpoint of this catalog to make images "
                f"with: "
                "give its images instead"
            )
    width, height = usual["size"].values[0]
    fields = {
        "width": width,
        "height": height,
        "sampling_method": usual["sampler"].values[0],
        "sampling_steps": usual["steps"].values[0],
        "cfg_scale": usual["cfg_scale"].values[0],
    }
    return expand(fields, card, replace(wished, seed=seed), carrier=carrier)


def _keep(made: Path, file: Path, prompt: str) -> None:
    """The image under its number, with its prompt; the image last, so that it stands for both."""
    file.with_suffix(".txt").write_text(prompt, encoding="utf-8")
    made.replace(file)


def _maker(catalog: Catalog, target: str, url: str | None) -> Maker:
    from diffagent.agent.generation import generate

    def make(call: T2ICall, folder: Path) -> Path:
        return generate(call, folder, target, catalog, url=url, nearest=True)[0]

    return make
