"""Sample images for models without any: each model makes one per prompt (CGI paper, Eq. 3).

The prompts are ours (``prompts.txt``, 61, versioned) or the developer's. Each model's images are stored in a
folder with the prompt in a ``.txt`` beside each, so that an interrupted run continues, and specifications can
be built from the folder again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from diffagent.agent.executors import Executor
from diffagent.agent.pmi.manifest import Example
from diffagent.agent.targets.generation import Session
from diffagent.data.air import AIR
from diffagent.data.base_models import family_of
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.usage import by_family
from diffagent.data.errors import BadInput
from diffagent.data.records import Card, T2ICall, Usage

Report = Callable[[str], None]
SEED = 0
"""The seed of the first prompt; each next prompt takes the next seed."""


class Maker(Protocol):
    """Makes one image of a call and returns its file."""

    def __call__(self, call: T2ICall, folder: Path) -> Path: ...


def read_prompts(path: Path | None = None) -> list[str]:
    """Reads prompts from a text file, one per line; lines that begin with # are comments. Default: ours.

    Raises:
        BadInput: the file has no prompts, or is not text.
    """
    try:
        source = path or Path(str(files("diffagent.agent") / "pmi" / "prompts.txt"))
        lines = source.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"cannot read the prompts {path} ({error}): give a text file, a prompt a line"
        ) from None
    prompts = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not prompts:
        raise BadInput(f"{source} holds no prompts: give a text file, a prompt a line")
    return prompts


def generate_examples(
    models: Sequence[str],
    catalog_path: Path,
    prompts: Path | None,
    folder: Path,
    target: str = "diffusers",
    target_url: str | None = None,
    report: Report = lambda line: None,
    maker: Maker | None = None,
    executor: Executor | None = None,
) -> list[Example]:
    """Makes the missing images of each model for each prompt, and returns all; a pipeline is loaded once per
    checkpoint. ``executor``: see :class:`diffagent.agent.targets.generation.Session`.

    Raises:
        UnknownModel: a model is not in the catalog. TargetError: the target failed.
    """
    texts = read_prompts(prompts)
    examples: list[Example] = []
    with ExitStack() as stack:
        catalog = stack.enter_context(Catalog.open(catalog_path))
        make = maker or _SessionMaker(catalog, target, target_url, executor, stack)
        usual = by_family(card for _, card in catalog.entries())
        for name in models:
            card = catalog.find(name)
            model_folder = folder / AIR.parse(card.air).key.replace("/", "_")
            report(f"{card.name}: {len(texts)} images in {model_folder}")
            for number, text in enumerate(texts):
                file = model_folder / f"{number:03d}.png"
                if not file.is_file():
                    _keep(
                        make(_call(card, catalog, usual, text, SEED + number), model_folder / "made"),
                        file,
                        text,
                    )
                examples.append(Example(file, card.air, text, number))
    return examples


def _call(card: Card, catalog: Catalog, usual: Mapping[str, Usage], prompt: str, seed: int) -> T2ICall:
    """Returns a call with the settings of a plain request: the card's own where its images agree, else those
    of a LoRA's most frequent checkpoint, else its base model's."""
    from diffagent.agent.answering.answer import expand
    from diffagent.agent.answering.settings import settings
    from diffagent.agent.asking.wishes import Wishes

    wishes = Wishes(prompt=prompt)
    carrier = None
    if card.type == "LoRA":
        counts = card.usage.checkpoints
        base = max(counts, key=lambda air: (counts[air], air), default=None)
        carrier = catalog.by_air(base) if base else None
        if carrier is None:
            raise BadInput(
                f"{card.name} is a LoRA and its card names no checkpoint of this catalog to make images "
                "with: give its images instead"
            )
    choices = settings(card, usual.get(family_of(card.base_model), Usage()), wishes, carrier)
    width, height = choices["size"].values[0]
    fields = {
        "width": width,
        "height": height,
        "sampling_method": choices["sampler"].values[0],
        "sampling_steps": choices["steps"].values[0],
        "cfg_scale": choices["cfg_scale"].values[0],
    }
    return expand(fields, card, replace(wishes, seed=seed), carrier=carrier)


def _keep(image: Path, file: Path, prompt: str) -> None:
    """Writes the prompt, then moves the image to its number, so that the image implies both."""
    file.with_suffix(".txt").write_text(prompt, encoding="utf-8")
    image.replace(file)


class _SessionMaker:
    """Makes images with a target's session, opened for the first image and closed after the last."""

    def __init__(
        self, catalog: Catalog, target: str, url: str | None, executor: Executor | None, stack: ExitStack
    ) -> None:
        self._open = partial(Session, catalog, target, url, executor)
        self._stack = stack
        self._session: Session | None = None

    def __call__(self, call: T2ICall, folder: Path) -> Path:
        self._session = self._session or self._stack.enter_context(self._open())
        return self._session.generate(call, folder)[0]
