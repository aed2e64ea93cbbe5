"""Entries that answer only where their base model is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stand_ins import ENTRIES, RuleEngine, WordEncoder, plain_ranker, plain_suitability, read_entries

from diffagent.agent.agent import Agent
from diffagent.agent.choosing.fusion import Fusion
from diffagent.agent.choosing.prefilter import Prefilter
from diffagent.data.attributes import Attributes
from diffagent.data.catalog.cards import Entry
from diffagent.data.catalog.catalog import Catalog
from diffagent.data.catalog.importing import add_entries
from diffagent.data.errors import BadInput
from diffagent.data.records import Card

MakeAgent = Callable[..., Agent]


def newer(name: str, base_model: str, air: str, **purpose: object) -> Entry:
    kind = "LoRA" if ":lora:" in air else "Checkpoint"
    attributes = Attributes.parse(
        {"role": "general", "media": ["oil painting"], "breadth": "broad", **purpose}
    )
    return Entry(
        Card(name, kind, base_model, air, file_name=f"{name}.safetensors", attributes=attributes)  # type: ignore[arg-type]
    )


NEWER = (
    newer("Moor Flux", "Flux.1 D", "urn:air:flux1:diffusionmodel:huggingface:moor/flux", renown=3),
    newer("Moor Illustrious", "Illustrious", "urn:air:sdxl:checkpoint:civitai:71@72", media=["anime"]),
    newer(
        "Mira", "Illustrious", "urn:air:sdxl:lora:civitai:73@74", role="character", media=["anime"],
        subjects=["mira vexholm", "moor tales"], needed=["mirav"], breadth="narrow",
    ),
)  # fmt: skip


@pytest.fixture
def make_grown(tmp_path: Path) -> Iterator[MakeAgent]:
    """Agents on the invented catalog, to which newer base models were added."""
    opened: list[Catalog] = []

    def make(added: tuple[Entry, ...] = NEWER, only_asked: bool = True) -> Agent:
        path = tmp_path / f"grown{len(opened)}.sqlite"
        with Catalog.create(path) as catalog:
            add_entries(catalog, read_entries(), WordEncoder())
            if only_asked:
                catalog.set_unasked(catalog.stats()["base_model"])
            add_entries(catalog, added, WordEncoder())
        opened.append(Catalog.open(path))
        agent = Agent(
            opened[-1], Prefilter.of(opened[-1], WordEncoder(), plain_ranker()), RuleEngine(), Fusion()
        )
        agent.suitability = plain_suitability(kin=4.0, evidence=2.0, renown=0.1)
        return agent

    yield make
    for catalog in opened:
        catalog.close()


def test_without_a_base_model_the_usual_ones_answer(make_grown: MakeAgent, make_reader: MakeAgent) -> None:
    agent = make_grown()
    assert agent.catalog.unasked == ("SD 1.5", "SDXL 1.0")
    assert [card.name for card in agent.prefilter.cards] == [entry.card.name for entry in ENTRIES]
    assert agent.call("an oil painting of a harbour").model == 'Oil "Masters" {v2}'
    assert make_grown(only_asked=False).call("an oil painting of a harbour").model == "Moor Flux"
    plain = make_reader()
    plain.suitability = agent.suitability
    for prompt in ("ink drawing of a hare", "photo of a lake", "pixel art dragon"):
        assert agent.decide_many([{"prompt": prompt}])[0].candidates == (  # type: ignore[union-attr]
            plain.decide_many([{"prompt": prompt}])[0].candidates  # type: ignore[union-attr]
        )


@pytest.mark.parametrize(
    ("prompt", "base_model", "model"),
    [
        ("flux: a harbour", None, "Moor Flux"),
        ("a harbour", "flux1", "Moor Flux"),
        ("illustrious, a harbour", None, "Moor Illustrious"),
        ("a harbour, SDXL", None, "Grand XL"),
        ("an oil painting of a harbour", "any", "Moor Flux"),
        ("use the Moor Flux model, a harbour", None, "Moor Flux"),
    ],
)
def test_who_asks_for_a_base_model_gets_it(
    make_grown: MakeAgent, prompt: str, base_model: str | None, model: str
) -> None:
    assert make_grown().call(prompt, base_model=base_model).model == model


def test_a_model_that_is_named_is_had_with_its_own_checkpoints(make_grown: MakeAgent) -> None:
    call = make_grown().call("a harbour", model="Mira")
    assert (call.model, call.base_checkpoint) == ("Mira", "urn:air:sdxl:checkpoint:civitai:71@72")


def test_a_character_that_only_others_know_is_drawn_by_them(make_grown: MakeAgent) -> None:
    agent = make_grown()
    decision = agent.decide_many([{"prompt": "Mira Vexholm at a harbour"}])[0]
    assert decision.call.model == "Mira"  # type: ignore[union-attr]
    assert "Mira is for Illustrious" in decision.notes[0]  # type: ignore[union-attr]
    assert agent.call("Mira at a harbour").model != "Mira"  # half a name may be anybody's
    lora = replace(
        ENTRIES[2].card,
        name="Ink Mira",
        air="urn:air:sd1:lora:civitai:8@9",
        model_id=8,
        version_id=9,
        attributes=Attributes.parse({"role": "character", "media": ["ink"], "subjects": ["mira vexholm"]}),
    )
    agent = make_grown((*NEWER, Entry(lora)))
    assert agent.call("Mira Vexholm at a harbour").model == "Ink Mira"


def test_a_bare_name_means_what_people_use(make_grown: MakeAgent) -> None:
    turbo = newer(
        "Moor Turbo", "ZImageTurbo", "urn:air:zimageturbo:diffusionmodel:huggingface:moor/zt", renown=0
    )
    base = newer("Moor Base", "ZImageBase", "urn:air:zimagebase:diffusionmodel:huggingface:moor/zb", renown=3)
    agent = make_grown((*NEWER, turbo, base))
    assert agent.call("a harbour, z-image").model == "Moor Turbo"
    assert agent.call("z image base: a harbour").model == "Moor Base"
    assert agent.call("a harbour", base_model="zimage").model == "Moor Base"  # an option names a family
    assert make_grown((*NEWER, base)).call("a harbour, z-image").model == "Moor Base"


def test_the_base_models_dialect_says_the_medium_where_none_is_named(make_grown: MakeAgent) -> None:
    drawn = newer("Moor Drawn", "Pony", "urn:air:sdxl:checkpoint:civitai:75@76", media=["digital painting"])
    photo = newer("Moor Photo", "Pony", "urn:air:sdxl:checkpoint:civitai:77@78", media=["photo"], renown=3)
    agent = make_grown((*NEWER, drawn, photo))
    assert agent.call("a harbour, pony").model == "Moor Drawn"
    assert agent.call("photo of a harbour, pony").model == "Moor Photo"


def test_a_tag_of_image_boards_stays_where_it_is_read(make_grown: MakeAgent) -> None:
    agent = make_grown()
    drawn = agent.decide_many([{"prompt": "illustrious, harbour, no humans"}])[0]
    assert drawn.call.prompt.endswith("absurdres, harbour, no humans")  # type: ignore[union-attr]
    assert "humans" not in drawn.call.negative_prompt  # type: ignore[union-attr]
    assert not any("negative prompt" in note for note in drawn.notes)  # type: ignore[union-attr]
    assert agent.call("illustrious: harbour at dawn no humans, boats").prompt.endswith("boats, no humans")
    assert agent.call("harbour, no humans, SDXL").negative_prompt.startswith("humans")


def test_a_checkpoint_that_is_asked_for_by_name_answers(make_grown: MakeAgent) -> None:
    photo = newer("Juggernaut XL", "SDXL 1.0", "urn:air:sdxl:checkpoint:civitai:81@82", media=["photo"])
    fast = newer(
        "Juggernaut XL Lightning", "SDXL Lightning", "urn:air:sdxl:checkpoint:civitai:83@84", media=["photo"]
    )
    agent = make_grown((*NEWER, photo, fast))
    decision = agent.decide_many([{"prompt": "oil painting of a harbour, SDXL, juggernaut if possible"}])[0]
    assert (decision.call.model, decision.call.prompt) == (  # type: ignore[union-attr]
        "Juggernaut XL", "oil painting of a harbour",
    )  # fmt: skip
    assert not any("cannot be had" in note for note in decision.notes)  # type: ignore[union-attr]
    assert agent.call("a harbour on juggernaut xl lightning").model == "Juggernaut XL Lightning"
    assert agent.call("a juggernaut at a harbour, SDXL").model == "Grand XL"


def test_the_nearest_version_of_a_checkpoint_is_taken_and_said(make_grown: MakeAgent) -> None:
    of = {"base_model": "Illustrious", "media": ["anime"]}
    late = newer("WAI Illustrious v15", air="urn:air:sdxl:checkpoint:civitai:85@86", **of)  # type: ignore[arg-type]
    early = newer("WAI Illustrious v9", air="urn:air:sdxl:checkpoint:civitai:87@88", **of)  # type: ignore[arg-type]
    agent = make_grown((*NEWER, late, early))
    for version, model in ((14, "WAI Illustrious v15"), (8, "WAI Illustrious v9"), (9, "WAI Illustrious v9")):
        prompt = f"1girl, harbour, wai illustrious v{version}"
        decision = agent.decide_many([{"prompt": prompt}])[0]
        assert decision.call.model == model  # type: ignore[union-attr]
        assert decision.call.prompt.endswith("1girl, harbour")  # type: ignore[union-attr]
        note = f'"wai illustrious v{version}" cannot be had: the nearest, {model}, was taken'
        assert (note in decision.notes) is (version != 9)  # type: ignore[union-attr]


def test_a_checkpoint_that_cannot_be_had_is_said(make_grown: MakeAgent) -> None:
    decision = make_grown().decide_many([{"prompt": "a harbour, SDXL, on realvis"}])[0]
    assert decision.call.base_model == "SDXL 1.0"  # type: ignore[union-attr]
    assert decision.notes[-1] == (  # type: ignore[union-attr]
        'no checkpoint of SDXL called "realvis" can be had: others were considered'
    )


def test_no_negative_prompt_is_sent_where_none_is_read(make_grown: MakeAgent) -> None:
    agent = make_grown()
    decision = agent.decide_many([{"prompt": "flux: a harbour, no people, no text"}])[0]
    assert (decision.call.prompt, decision.call.negative_prompt) == (  # type: ignore[union-attr]
        "a harbour, no people", "",
    )  # fmt: skip
    assert [note for note in decision.notes if "Flux.1 D" in note] == [  # type: ignore[union-attr]
        '"no people" stands in the prompt: Flux.1 D reads no negative prompt',
        '"text" was left out: Flux.1 D reads no negative prompt',
    ]
    answer = agent.decide_many([{"prompt": "flux: a harbour", "negative_prompt": "fog"}])[0]
    assert answer.call.negative_prompt == ""  # type: ignore[union-attr]


def test_a_style_is_not_named_by_a_character_that_the_base_model_knows(make_grown: MakeAgent) -> None:
    game = newer(
        "Song Game", "Illustrious", "urn:air:sdxl:lora:civitai:79@80", role="style", media=["anime"],
        subjects=["hatsune miku"], breadth="narrow",
    )  # fmt: skip
    agent = make_grown((*NEWER, game))
    assert agent.call("Hatsune Miku at a harbour, illustrious").model == "Moor Illustrious"


def test_the_model_whose_version_is_named_is_meant(make_grown: MakeAgent) -> None:
    other = newer("Moor Better", "Pony", "urn:air:sdxl:checkpoint:civitai:81@82", media=["anime"], renown=3)
    sixth = newer("Pony Diffusion V6 XL", "Pony", "urn:air:sdxl:checkpoint:civitai:83@84", media=["anime"])
    agent = make_grown((*NEWER, other, sixth))
    assert agent.call("1girl, harbour, pony").model == "Moor Better"
    assert agent.call("1girl, harbour, pony diffusion v6 xl").model == "Pony Diffusion V6 XL"
    assert agent.call("use the pony model, a harbour").model == "Moor Better"


def test_what_no_section_has_is_refused_with_the_nearest(make_grown: MakeAgent) -> None:
    with pytest.raises(BadInput, match=r"the nearest is Flux\.1 D"):
        make_grown().call("a harbour", base_model="Flux.1 S")


def test_loras_whose_checkpoints_are_usual_still_have_them(make_grown: MakeAgent) -> None:
    agent = make_grown((NEWER[2],))
    call = agent.call("mirav at a harbour", base_model="illustrious")
    assert (call.model, call.base_checkpoint) == ("Mira", "urn:air:sdxl:checkpoint:civitai:44@45")


def test_guidance_and_quality_words_are_the_base_models(make_grown: MakeAgent) -> None:
    agent = make_grown()
    flux = agent.call("flux: a harbour")
    assert (flux.guidance, flux.cfg_scale, flux.prompt) == (3.5, 1.0, "a harbour")
    assert agent.call("flux: a harbour, guidance 2.5").guidance == 2.5
    drawn = agent.call("illustrious, a harbour")
    assert drawn.guidance is None
    assert drawn.prompt == "masterpiece, best quality, very aesthetic, absurdres, a harbour"
    assert agent.call("illustrious, best quality, a harbour").prompt == "best quality, a harbour"
    assert agent.call("illustrious, a harbour", no_trigger=True).prompt == "a harbour"


def test_no_lora_answers_for_checkpoints_that_are_not_there(make_grown: MakeAgent) -> None:
    """A LoRA that other base models carry in part, which is had by its name or as a LoRA alone."""
    noob = newer("Moor Noob", "NoobAI", "urn:air:sdxl:checkpoint:civitai:79@80", media=["anime"])
    vexa = newer(
        "Vexa", "Pony", "urn:air:sdxl:lora:civitai:81@82", role="character", media=["anime"],
        subjects=["vexa qualmira"], needed=["vexaq"], breadth="narrow",
    )  # fmt: skip
    agent = make_grown((*NEWER, noob, vexa))
    pony: tuple[dict[str, Any], ...] = (
        {"prompt": "a lighthouse", "base_model": "Pony"},
        {"prompt": "a lighthouse, pony"},
    )
    for options in pony:
        with pytest.raises(BadInput, match="Pony is asked for, but no model of it is in the catalog; the ne"):
            agent.call(**options)
    near = agent.call("a lighthouse", base_model="Pony", nearest=True)
    assert (near.type, near.base_model != "Pony") == ("Checkpoint", True)
    assert agent.call("Vexa Qualmira at a harbour", base_model="Pony").model == "Vexa"
    assert agent.call("a lighthouse", base_model="Pony", type="LoRA").model == "Vexa"
