"""Every regular expression takes time linear in the text: hostile texts of two lengths, and their ratio.

The patterns are those that the modules hold, and those that stand as literals in calls of ``re``; texts are
repetitions of what patterns choke on: blanks, brackets, digits, and the words of the pattern itself.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any

import pytest

import diffagent.agent
import diffagent.data
import diffagent.serving
from diffagent.agent.answering import triggers
from diffagent.agent.asking import (
    corrections,
    edits,
    exclusions,
    language,
    phrasing,
    prompt_line,
    refusals,
    request,
    technical,
    wishes,
)
from diffagent.agent.choosing import short_names
from diffagent.data import prompts
from diffagent.data.catalog import samples
from diffagent.data.catalog.texts import about_text
from diffagent.data.descriptions import description_faults, forms, sources
from diffagent.data.errors import DiffAgentError, MissingExtra
from diffagent.data.metadata import comfyui, infotext, picture
from diffagent.data.records import Card
from diffagent.serving import images, wording

LENGTH = 4_000
"""Characters of the shorter text: what grows with the square takes tens of milliseconds already."""
WIDE = 100_000
"""Characters of the shorter text in the wide suite."""
SCREEN = 300
"""Characters at which all texts are tried: what grows with the square is among the slowest there."""
SLOWEST = {LENGTH: 12, WIDE: 3}
"""Of a pattern's texts, the slowest that are tried at a length."""
FLOOR = 0.01
"""Seconds below which a time tells nothing."""
CEILING = 30
"""A hostile text may take at most so many times an ordinary one's time, or so many times :data:`FLOOR`."""
ORDINARY = "A lighthouse on a cliff at dusk, painted in oil, with gulls over the surf. "
UNITS = (
    *" ,.;:\n\t()[]{}<>|\\/\"'_-~=+*#@&^$%!?0aAx×é中",
    "a ", "1 ", ", ", "a,", "a:", "a-", "a.", "1.", "1x", "\n ", " \n", "a\n", ":\n", "(,", "<a", "<lora:",
    "a: ", '\\"', '"a', "a@", "--a", "() ", "[a", "(1", "a's ", "://",
)  # fmt: skip
ENDS = ("", "!")
METHODS = ("search", "match", "fullmatch", "sub", "subn", "findall", "finditer", "split")
Pattern = re.Pattern[Any]
Check = tuple[Callable[[Any], object], Callable[[int], Any]]
"""What reads a text, and what makes a hostile one of any length."""


def modules() -> Iterator[Any]:
    for package in (diffagent.data, diffagent.agent, diffagent.serving):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith(("ray_route", "tests")) or ".page" in module.name:
                continue
            try:
                yield importlib.import_module(module.name)
            except (MissingExtra, ImportError):
                continue


def patterns_of(value: object) -> Iterator[Pattern]:
    """The patterns in a value, those in tuples, lists and dictionaries too."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from patterns_of(part)
    elif isinstance(value, dict):
        yield from patterns_of(list(value.values()))


@cache
def patterns() -> dict[str, tuple[Pattern, frozenset[str]]]:
    """Every pattern by where it stands, and the methods that are used of it."""
    collected: dict[str, tuple[Pattern, frozenset[str]]] = {}
    for module in modules():
        with open(module.__file__, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        short = module.__name__.removeprefix("diffagent.")
        for name, value in vars(module).items():
            for n, pattern in enumerate(patterns_of(value)):
                methods = frozenset(
                    node.attr
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and node.value.id == name
                    and node.attr in METHODS
                )
                collected[f"{short}.{name}.{n}"] = pattern, methods or frozenset({"finditer"})
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.func.attr in METHODS
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                flags = re.I if "re.I" in ast.unparse(node) else re.NOFLAG
                text = node.args[0].value
                assert isinstance(text, str)
                pattern = re.compile(text, flags)
                collected[f"{short}:{text[:40]}"] = pattern, frozenset({node.func.attr})
    return collected


def texts(words: tuple[str, ...]) -> Iterator[Callable[[int], str]]:
    """Hostile texts of any length, by the words of a pattern."""
    for unit in (*UNITS, *words, *(word + " " for word in words)):
        for end in ENDS:
            yield partial(_repeated, "", unit, end)
    for word in words:
        for unit in (" ", ",", "1", "a", "a ", "\n", ":", "-", '"', "(", "1 "):
            yield partial(_repeated, word, unit, "!")
            yield partial(_repeated, "\n" + word + ": 1,", unit, "!")


def _repeated(start: str, unit: str, end: str, length: int) -> str:
    return start + unit * (length // len(unit)) + end


def words(pattern: Pattern) -> tuple[str, ...]:
    """Words that the pattern names, the longest first; at most eight."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    names = re.findall(r"[A-Za-z][A-Za-z ]{2,}", re.sub(r"\\[a-zA-Z]", " ", source))
    return tuple(
        sorted({name.strip() for name in names if name.strip()}, key=lambda text: (-len(text), text))[:8]
    )


def seconds(run: Callable[[Any], object], text: Any, times: int = 1) -> float:
    """The least processor time of some runs: other work on the machine hardly changes it."""
    best = float("inf")
    for _ in range(times):
        start_time = time.process_time()
        run(text)
        best = min(best, time.process_time() - start_time)
    return best


def check_linear(run: Callable[[Any], object], make: Callable[[int], Any], length: int = LENGTH) -> None:
    """Fails where a text twice as long takes clearly more than twice the time, or one text much more than an
    ordinary one of its length.

    Half the length is compared too: behind a limit on length the longer text takes no time at all.
    """
    short = seconds(run, make(length))
    if short < FLOOR:
        return
    text = make(length)
    where = f"{text[:60]!r}…{text[-9:]!r}"
    plain: Any = (ORDINARY * (length // len(ORDINARY) + 1))[:length]
    half, long, ordinary = 0.0, 0.0, 0.0
    for tries in (3, 5, 9, 15, 25):  # other work on the machine slows one measurement, not all of them
        short = seconds(run, text, tries)
        if short < FLOOR:
            return
        half, long = seconds(run, make(length // 2), tries), seconds(run, make(2 * length), tries)
        ordinary = seconds(run, plain.encode() if isinstance(text, bytes) else plain, tries)
        ceiling = CEILING * max(ordinary, FLOOR * length / LENGTH)
        if max(long / short, short / max(half, FLOOR / 2)) < 3.2 and short < ceiling:
            return
    raise AssertionError(
        f"{half:.3f} s, twice as long {short:.3f} s, four times {long:.3f} s, "
        f"an ordinary text {ordinary:.3f} s: {where}"
    )


def slowest(checks: Iterable[Check], length: int, count: int) -> list[Check]:
    """The checks that take longest at this length, as many as the count."""
    return sorted(checks, key=lambda check: seconds(check[0], check[1](length)))[-count:]


def test_the_patterns_are_found() -> None:
    assert len(patterns()) > 90
    assert patterns()["data.metadata.infotext._NAME.0"][1] == {"match"}
    assert "data.prompts:,? ?(?<!\\\\)([)\\]}])" in patterns()


def encoded(make: Callable[[int], str], length: int) -> bytes:
    return make(length).encode()


@pytest.mark.parametrize("length", [LENGTH, pytest.param(WIDE, marks=pytest.mark.wide)])
@pytest.mark.parametrize("name", sorted(patterns()))
def test_a_pattern_is_linear(name: str, length: int) -> None:
    pattern, methods = patterns()[name]
    in_bytes = isinstance(pattern.pattern, bytes)
    runs: list[Callable[[Any], object]] = [
        getattr(pattern, method) for method in methods & {"match", "fullmatch", "search"}
    ]
    if methods - {"match", "fullmatch", "search"}:
        runs.append(lambda text: sum(1 for _ in pattern.finditer(text)))
    checks: list[Check] = [
        (run, partial(encoded, make) if in_bytes else make) for make in texts(words(pattern)) for run in runs
    ]
    screen = 4 * SCREEN if length == WIDE else SCREEN
    for run, make in slowest(checks, screen, SLOWEST[length]):
        check_linear(run, make, length)


def card(text: str) -> Card:
    return Card(text, "LoRA", "SD 1.5", "urn:air:sd1:lora:civitai:1@2", trigger_words=(text,), tags=(text,))


def image(text: str) -> dict[str, Any]:
    fields = (
        "Model",
        "sampler",
        "Schedule type",
        "Size",
        "steps",
        "AddNet Model 1",
        "Model hash",
        "First pass size",
    )
    return {
        "id": 1,
        "meta": {"prompt": f"a fox {text}", **dict.fromkeys(fields, text), "AddNet Module 1": "LoRA"},
    }


def graph(text: str) -> dict[str, Any]:
    """A graph with the text in every place."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": text}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["1", 1]}},
        "3": {"class_type": text, "inputs": {text: text, "lora_name": text, "model": ["1", 0]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"resolution": text}},
        "5": {
            "class_type": "KSampler",
            "inputs": dict.fromkeys(("steps", "cfg", "seed", "sampler_name", "scheduler"), text)
            | {"model": ["3", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["4", 0]},
        },
    }


def item(text: str) -> dict[str, Any]:
    return {"description": text, "modelVersions": [{"id": 2, "description": text}]}


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "wishes": wishes.wishes,
    "without_wishes": wishes.without_wishes,
    "phrasing": lambda text: phrasing.phrasing(text[: request.MAX_CHARACTERS]),
    "corrections": lambda text: corrections.corrections(text[: exclusions.LONGEST]),
    "exclusions": exclusions.exclusions,
    "unwanted": lambda text: refusals.unwanted(text[: exclusions.LONGEST]),
    "spread": lambda text: refusals.spread(text[: exclusions.LONGEST]),
    "settings that leave": lambda text: technical.split_settings(text[: exclusions.LONGEST]),
    "language": language.language,
    "balanced": triggers.balanced,
    "missing": lambda text: triggers.missing(text, [text]),
    "edit": lambda text: edits.edit(text[: edits.LONGEST]),
    "infotext": infotext.parse,
    "infotext settings": lambda text: infotext.parse(f"a\nSteps: 1, {text}"),
    "infotext read": lambda text: infotext.read(f"a\nSteps: 1, {text}"),
    "infotext on one line": lambda text: infotext.read(f"a Steps: 1, Seed: 2, {text}"),
    "loose JSON": comfyui.parse_json,
    "graph": lambda text: comfyui.read(graph(text)),
    "told": lambda text: picture.from_text("{" + text),
    "user comment": lambda text: picture.user_comment(b"UNICODE\0" + text.encode("utf-16-be")),
    "clean": request.clean,
    "wishes of a request": lambda text: request.Request.from_prompt(text[: request.MAX_CHARACTERS]).wishes,
    "strip_lora_tags": lambda text: prompts.strip_lora_tags(f"<lora:a:1> {text}"),
    "plain": prompts.plain,
    "bare_words": prompts.bare_words,
    "is_sfw": prompts.is_sfw,
    "strip_trigger_words": lambda text: prompts.strip_trigger_words(text, ["ink fox", "a a"]),
    "short_name": short_names.short_name,
    "wanted": prompt_line.wanted,
    "judge_image": lambda text: samples.judge_image(image(text), 2),
    "stem": samples.stem,
    "about": lambda text: about_text(item(text), 2),
    "fault": lambda text: description_faults.fault(text, sources.Source(card("a fox"), text, (text,))),
    "name_parts": lambda text: forms.name_parts(card(text)),
    "form": lambda text: forms.form(sources.Source(card(text), text, (text,)), 0),
    "decode": lambda text: images.decode("data:" + text, 1000),
    "wording": lambda text: wording.argument_line(DiffAgentError(text)),
}


@pytest.mark.parametrize("screen", [SCREEN // 2, pytest.param(2 * SCREEN, marks=pytest.mark.wide)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_of_outsiders_text_is_linear(name: str, screen: int) -> None:
    run = FUNCTIONS[name]

    def answered(text: str) -> object:
        try:
            return run(text)
        except DiffAgentError as error:
            return error

    hints = (
        "steps",
        "negative prompt:",
        "cfg scale",
        "sampler",
        "wallpaper for ",
        "<lora:",
        "use ",
        "1024x",
        "BREAK",
    )
    for function, make in slowest(((answered, make) for make in texts(hints)), screen, SLOWEST[LENGTH]):
        check_linear(function, make)
