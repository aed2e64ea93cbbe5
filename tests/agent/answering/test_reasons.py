"""Reasons: what a decision says of itself, in sentences and as a card for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from diffagent.agent.agent import Agent
from diffagent.agent.answering.reasons import about, reasons
from diffagent.agent.asking.reading import Reading
from diffagent.agent.asking.request import Request
from diffagent.agent.choosing.prefilter import Candidate
from diffagent.agent.decision import Decision
from diffagent.data.attributes import Attributes
from diffagent.data.records import Card, Lora, T2ICall
from diffagent.serving.commands.explanation import explanation, settings_line


def card(number: int, name: str, kind: Any = "Checkpoint", **purpose: Any) -> Card:
    fields = {"role": "general", "media": ["photo"], "breadth": "broad", **purpose}
    air = f"urn:air:sd1:{kind.casefold()}:civitai:{number}@{number + 1}"
    return Card(name, kind, "SD 1.5", air, attributes=Attributes.parse(fields) if purpose else None)


CAMERA = card(1, "Plain Camera", renown=3)
BRUSHES = card(2, "Brushes", media=["digital painting"], renown=2)
GLAMOUR = card(3, "Glamour", people="young women", breadth="genre", renown=1)
WASHES = card(
    8, "Washes", "LoRA", role="style", media=["watercolor"], subjects=["watercolor", "landscapes"],
    needed=["wshs"], carrier="Brushes", renown=2, breadth="narrow",
)  # fmt: skip


def test_a_general_request_says_what_was_read_and_why_this_checkpoint() -> None:
    assert reasons(Reading.of("a bowl of soup"), [CAMERA, BRUSHES], None) == (
        "No medium was named: photo suits the subject.",
        "Plain Camera is made for photo; any subject; among the best known.",
        "No LoRA was added: none is needed for what the request names.",
        "The runner-up is Brushes (digital painting; any subject; well known).",
    )


def test_a_lora_says_which_words_it_answers_to_and_what_it_runs_on() -> None:
    reading = Reading.of("a village with a girl, in watercolor")
    lines = reasons(reading, [WASHES], BRUSHES, added=["wshs"])
    assert lines == (
        "The request names its medium, watercolor, and a woman or girl is named.",
        "The request names watercolor: the LoRA Washes draws it "
        "(style: watercolor, landscapes; watercolor; well known).",
        "It runs on Brushes, which its author names.",
        "Added to the prompt: wshs.",
    )
    assert "It runs on Plain Camera (photo; any subject; among the best known)." in reasons(
        reading, [WASHES], CAMERA
    )


def test_a_medium_that_no_word_names_is_not_called_named() -> None:
    reading = Reading.of("a village, stained glass").revised("photo; people: none; special: none")
    assert reasons(reading, [CAMERA], None)[0] == "The request's medium was read as photo."


def test_a_checkpoint_that_knows_the_character_is_said_to() -> None:
    reading = replace(Reading.of("Raiden Shogun drinking tea"), is_grounded=True)
    assert "No LoRA was added: this checkpoint knows the character that the request names." in reasons(
        reading, [CAMERA], None
    )


def test_other_grounds_of_a_choice_are_said() -> None:
    soup = Reading.of("soup")
    assert reasons(soup, [CAMERA], None, basis="named")[0] == "Plain Camera was asked for by name."
    unread = card(9, "Unread")
    assert reasons(soup, [unread], None, basis="matched") == (
        "The sample prompts of Unread are nearest to the request.",
    )
    assert about(unread) == ()
    assert about(GLAMOUR) == ("photo", "one kind of picture", "draws young women")


def test_an_agents_decision_carries_them_with_the_models_pages(make_agent: Callable[..., Agent]) -> None:
    decision = make_agent().decide(Request.from_prompt("ink drawing of a hare"))
    assert decision.added == ("inkfox",)
    assert "Added to the prompt: inkfox." in decision.reasons
    assert decision.url == "https://civitai.com/models/33?modelVersionId=34"
    answer = decision.to_dict()
    assert answer["reasons"] == list(decision.reasons)
    assert answer["candidates"][0]["url"] == decision.url


def test_an_answer_is_a_decision_and_what_its_target_takes(make_agent: Callable[..., Agent]) -> None:
    answer = make_agent().answer(Request.from_prompt("ink drawing of a hare", target="a1111", seed=7))
    assert answer.emitted.call == answer.decision.call
    assert answer.emitted.request["prompt"] == "inkfox, ink drawing of a hare <lora:33:0.7>"


def test_the_card_of_a_terminal_is_short_and_without_escapes() -> None:
    call = T2ICall(
        model="Washes", type="LoRA", base_model="SD 1.5", width=768, height=512, sampling_method="DPM++ 2M",
        scheduler="Karras", sampling_steps=25, cfg_scale=7.0, model_description="", prompt="wshs, a village",
        negative_prompt="blurry\x1b[2J", clip_skip=2, seed=7, air=WASHES.air, base_checkpoint=BRUSHES.air,
        loras=(Lora(model="Washes", air=WASHES.air, weight=0.8),),
    )  # fmt: skip
    why = reasons(Reading.of("a village in watercolor"), [WASHES, CAMERA], BRUSHES, added=["wshs"])
    decision = Decision(
        call,
        (Candidate(WASHES, -0.1), Candidate(CAMERA, -3.0)),
        notes=("a note",),
        reasons=why,
        added=("wshs",),
    )
    assert settings_line(call) == "768x512, DPM++ 2M Karras, 25 steps, CFG 7, clip skip 2, seed 7"
    assert explanation(decision, 100).splitlines() == [
        "Washes (LoRA, SD 1.5)",
        "https://civitai.com/models/8?modelVersionId=9",
        "",
        "for        style: watercolor, landscapes; watercolor; well known",
        "why        The request names its medium, watercolor.",
        "           The request names watercolor: the LoRA Washes draws it (style: watercolor, landscapes;",
        "           watercolor; well known).",
        "           It runs on Brushes, which its author names.",
        "LoRAs      Washes × 0.8",
        "prompt     wshs, a village",
        "added      wshs",
        "avoided    blurry [2J",
        "settings   768x512, DPM++ 2M Karras, 25 steps, CFG 7, clip skip 2, seed 7",
        "notes      a note",
        "runner-up  Plain Camera",
    ]
    assert all(len(line) <= 60 for line in explanation(decision, 60).splitlines() if "https" not in line)
