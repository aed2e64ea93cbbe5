"""From images to specifications to identification, with an invented encoder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from invented_images import PROMPTS, STYLES, ColourEncoder, picture, write_manifest
from stand_ins import RuleEngine, WordEncoder, plain_ranker

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.agent.pmi import identifier as identifiers
from diffagent.agent.pmi.building import BuildReport
from diffagent.agent.pmi.generating import generate_examples, read_prompts
from diffagent.agent.pmi.identifier import (
    Identification,
    Identifier,
    space_path,
    specification_file,
    specification_path,
)
from diffagent.agent.pmi.manifest import Example, read_examples
from diffagent.agent.pmi.specification_file import SpecificationFile
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.errors import BadImage, BadInput, BadSpecifications
from diffagent.data.records import T2ICall

NEW = 50
"""A prompt that no specification was made with."""


def air(model: str) -> str:
    return f"urn:air:other:checkpoint:huggingface:{model if '/' in model else 'local/' + model}"


@pytest.fixture
def identifier(hub: Path) -> Identifier:
    identifier = Identifier.beside(hub, ColourEncoder())
    assert identifier is not None
    return identifier


@pytest.fixture
def agent(hub: Path, identifier: Identifier) -> Iterator[Agent]:
    with Catalog.open(hub) as catalog:
        agent = Agent(catalog, Prefilter.of(catalog, WordEncoder(), plain_ranker()), RuleEngine(), Fusion())
        agent.identifier = identifier
        yield agent


def test_building_makes_cards_and_specifications(
    hub: Path, make: Callable[..., BuildReport], manifest: Path
) -> None:
    with Catalog.open(hub) as catalog:
        card = catalog.find("ada/Red-1.0")
        assert (card.base_model, card.type, card.source) == ("Other", "Checkpoint", "huggingface")
        assert catalog.find("blue").air == air("blue")
    file = SpecificationFile.open(specification_path(hub, "colours", "words"))
    assert file.airs == [air(model) for model in STYLES]
    assert [len(specification) for specification in file.specifications()] == [len(PROMPTS)] * 3
    again = make(manifest)
    assert (again.models, again.images, again.added, again.failed) == (3, 36, 0, 0)
    assert len(SpecificationFile.open(file.path)) == 36


def test_adding_a_model_appends(tmp_path: Path, make: Callable[..., BuildReport]) -> None:
    two, *_ = (write_manifest(tmp_path / "two", ["ada/Green", "blue"]),)
    make(two)
    built = make(write_manifest(tmp_path / "one", ["ada/Red-1.0"]))
    assert (built.models, built.added) == (1, 1)
    assert built.file.airs == [air(m) for m in ("ada/Green", "blue", "ada/Red-1.0")]


def test_a_folder_of_folders_with_prompts_beside(tmp_path: Path, make: Callable[..., BuildReport]) -> None:
    for model in ("blue", "green"):
        (tmp_path / "f" / model).mkdir(parents=True)
        for n in range(3):
            picture("blue", n).save(tmp_path / "f" / model / f"{n}.png")
        (tmp_path / "f" / model / "0.txt").write_text("a boat", "utf-8")
    built = make(tmp_path / "f")
    first, _ = built.file.specifications()
    assert (built.models, built.images) == (2, 6)
    assert (first.prompts > 0).tolist() == [True, False, False]
    assert (np.abs(first.text).sum(1) > 0).tolist() == [True, False, False]


def test_a_broken_image_is_reported_and_left_out(manifest: Path, make: Callable[..., BuildReport]) -> None:
    (manifest.parent / "blue" / "000.png").write_bytes(b"oops")
    messages: list[str] = []
    built = make(manifest, report=messages.append)
    assert (built.images, built.failed) == (35, 1)
    assert "000.png is not a readable image" in messages[0]


def test_other_encoders_are_refused(
    hub: Path, make: Callable[..., BuildReport], manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ColourEncoder, "digest", "00" * 32)
    with pytest.raises(BadSpecifications, match="image encoder colours"):
        make(manifest)
    identifier = Identifier.beside(hub, ColourEncoder())
    assert identifier is not None
    with pytest.raises(BadSpecifications, match="image encoder colours"):
        identifier.identify([picture("blue", NEW)])


def test_images_are_identified(identifier: Identifier) -> None:
    for model in STYLES:
        identification = identifier.identify([picture(model, NEW), picture(model, NEW + 1)])
        assert identification.best(1)[0][0] == air(model)
        assert np.exp(identification.log_probabilities).sum() == pytest.approx(1)
        assert not identification.unsure


def test_order_of_images_does_not_matter(identifier: Identifier) -> None:
    images = [picture("blue", NEW), picture("ada/Green", NEW), picture("blue", NEW + 2)]
    forward, backward = identifier.identify(images), identifier.identify(images[::-1])
    np.testing.assert_allclose(forward.log_probabilities, backward.log_probabilities)


def test_unsure_and_likely() -> None:
    flat = Identification(("a", "b", "c", "d"), np.log([0.4, 0.35, 0.2, 0.05]))
    assert (flat.unsure, flat.likely) == (True, 3)
    sure = Identification(("a", "b"), np.log([0.95, 0.05]))
    assert (sure.unsure, sure.likely) == (False, 1)


def test_the_number_of_images_is_checked(identifier: Identifier) -> None:
    with pytest.raises(BadInput, match="0 example images"):
        identifier.identify([])
    with pytest.raises(BadInput, match="7 example images"):
        identifier.identify([picture("blue", 0)] * 7)
    with pytest.raises(BadInput, match="images are a list"):
        identifier.identify("a.png")
    with pytest.raises(BadImage):
        identifier.identify([b""])


def test_the_space_is_kept_and_learnt_again_when_its_specifications_change(
    hub: Path, manifest: Path, make: Callable[..., BuildReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = specification_file(hub)
    assert path is not None
    content = space_path(path).read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(identifiers, "learn", lambda images: pytest.fail("the kept space fits"))
        Identifier.load(path, ColourEncoder())
    space_path(path).write_bytes(b"damaged")
    Identifier.load(path, ColourEncoder())
    assert space_path(path).read_bytes() == content
    picture("ada/Red-1.0", 0).save(manifest.parent / "blue" / "000.png")
    make(manifest)
    assert space_path(path).read_bytes() != content


def test_the_pair_that_was_built_last_is_read(hub: Path) -> None:
    path = specification_file(hub)
    assert path is not None
    other = specification_path(hub, "other", "words")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(1, 1))
    assert specification_file(hub) == path
    assert specification_file(hub.with_name("none.sqlite")) is None


def test_prompt_and_images_make_one_ranking(agent: Agent) -> None:
    decision = agent.decide(Request.from_prompt("a fox", images=[picture("blue", NEW)]))
    assert (decision.call.model, decision.call.base_model) == ("blue", "Other")
    assert decision.identified is not None
    assert not decision.identified.unsure
    assert decision.to_dict()["unsure"] is False
    decision_by_name = agent.decide(
        Request.from_prompt("a fox", images=[picture("blue", NEW)], model="ada/Green")
    )
    assert decision_by_name.call.model == "ada/Green"


def test_the_prompt_counts_beside_the_images(agent: Agent) -> None:
    words = agent.prefilter.require("ada/Green Green green")
    between = [picture("blue", NEW)]
    identification = agent.identify(between)
    flat = Identification(identification.airs, np.full(3, -np.log(3)))
    assert agent.prefilter.rank(words, 1, None, agent._evidence(flat))[0].card.name == "ada/Green"
    assert agent.prefilter.rank(words, 1, None, agent._evidence(identification))[0].card.name in (
        "blue",
        "ada/Green",
    )


def test_only_models_with_image_specifications_are_candidates(agent: Agent, hub: Path) -> None:
    identification = Identification((air("blue"),), np.zeros(1))
    ranked = agent.prefilter.rank(agent.prefilter.require("red"), 16, None, agent._evidence(identification))
    assert [candidate.card.name for candidate in ranked] == ["blue"]


def test_filters_that_leave_no_model_with_images(agent: Agent) -> None:
    with pytest.raises(BadInput, match="no model of the catalog passes"):
        agent.decide(Request.from_prompt("a fox", images=[picture("blue", NEW)], type="LoRA"))


def test_a_catalog_without_specifications_says_what_to_do(make_agent: Callable[..., Agent]) -> None:
    with pytest.raises(BadInput, match="has no image specifications") as error:
        make_agent().call("a fox", images=[picture("blue", 0)])
    assert "diffagent pmi build IMAGES -o CATALOG" in error.value.hint


def test_generated_images_are_kept_with_their_prompts(hub: Path, tmp_path: Path) -> None:
    calls = []

    def maker(call: T2ICall, folder: Path) -> Path:
        calls.append(call)
        folder.mkdir(parents=True, exist_ok=True)
        picture("blue", len(calls)).save(folder / "x.png")
        return folder / "x.png"

    prompts = tmp_path / "mine.txt"
    prompts.write_text("# mine\na boat\n\na tower\n", "utf-8")
    folder = tmp_path / "made"
    examples = generate_examples(["blue"], hub, prompts, folder, maker=maker)
    assert [example.prompt for example in examples] == ["a boat", "a tower"]
    assert [(call.model, call.prompt, call.seed) for call in calls] == [
        ("blue", "a boat", 0),
        ("blue", "a tower", 1),
    ]
    again = generate_examples(["blue"], hub, prompts, folder, maker=maker)
    assert (again, len(calls)) == (examples, 2)
    assert [example.prompt for example in read_examples(folder)] == ["a boat", "a tower"]


def test_our_prompts() -> None:
    prompts = read_prompts()
    assert len(prompts) == len(set(prompts)) == 61


def test_prompts_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot read the prompts"):
        read_prompts(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("# nothing\n", "utf-8")
    with pytest.raises(BadInput, match="holds no prompts"):
        read_prompts(tmp_path / "empty.txt")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not json", "manifest.jsonl:1"),
        (json.dumps({"file": "a.png"}), "model: field required"),
        (json.dumps({"file": "a.png", "model": "m", "prompt_id": "x"}), "prompt_id"),
        ("", "holds no images"),
    ],
)
def test_manifests_that_are_none(tmp_path: Path, line: str, reason: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(line + "\n", "utf-8")
    with pytest.raises(BadInput, match=reason):
        read_examples(tmp_path / "manifest.jsonl")


def test_rows_of_a_manifest(tmp_path: Path) -> None:
    row = {"file": "x/a.png", "model": "m", "prompt": "p", "prompt_id": 3, "architecture": "sdxl"}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    assert read_examples(tmp_path) == [Example(tmp_path / "x/a.png", "m", "p", 3)]
