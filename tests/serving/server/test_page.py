"""The page in headless Chromium: routing, overriding, copying, dropping images, keyboard, phone width."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from image_servers import picture
from playwright.sync_api import expect, sync_playwright
from stand_ins import ByteIdentifier

from diffagent.agent.agent import Agent
from diffagent.agent.asking.request import Request

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt install chromium")
DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  const event = new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.getElementById("drop").dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any, agent: Agent, serve: Any) -> Iterator[Any]:
    """The page, in a window of a desktop; what its console says is an error of the test."""
    agent.identifier = ByteIdentifier(agent.catalog)  # type: ignore[assignment]
    with serve(agent) as client:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.grant_permissions(
            ["clipboard-read", "clipboard-write"], origin=str(client.base_url).rstrip("/")
        )
        opened = context.new_page()
        messages: list[str] = []
        opened.on("console", lambda message: messages.append(message.text))
        opened.on("pageerror", lambda error: messages.append(str(error)))
        opened.goto(str(client.base_url))
        yield opened
        context.close()
        assert [text for text in messages if "400 (Bad Request)" not in text] == []


def ask(page: Any, prompt: str) -> dict[str, Any]:
    """Routes a prompt and returns the call that is shown."""
    page.fill("#prompt", prompt)
    page.click("#route")
    expect(page.locator("#status")).to_contain_text(", in ")
    return shown(page)


def shown(page: Any) -> dict[str, Any]:
    content = json.loads(page.text_content("#json"))
    assert isinstance(content, dict)
    return content


def test_a_prompt_becomes_candidates_and_a_call(page: Any, agent: Agent) -> None:
    call = ask(page, "pixel art of a fox")
    assert call == agent.call("pixel art of a fox").model_dump()
    decision = agent.decide(Request.from_prompt("pixel art of a fox"))
    names = page.locator("#candidates .name").all_text_contents()
    assert names == [f"{candidate.card.name}{candidate.card.air}" for candidate in decision.candidates]
    shares = page.locator("#candidates .share").all_text_contents()
    assert sum(float(share.removesuffix(" %")) for share in shares) == pytest.approx(100, abs=0.3)
    assert page.locator("#candidates li[aria-current]").count() == 1
    assert call["model"] in page.text_content("#facts")
    assert page.locator("#reasons li").all_text_contents() == list(decision.reasons)
    assert page.get_attribute("#page a", "href") == decision.url


def test_a_candidate_or_a_name_overrides_the_choice(page: Any) -> None:
    ask(page, "pixel art of a fox")
    page.get_by_role("button", name='Use Oil "Masters" {v2}').click()
    expect(page.locator("#json")).to_contain_text("Masters")
    assert (
        page.get_attribute("#candidates li[aria-current]", "data-air")
        == "urn:air:sd1:checkpoint:civitai:22@23"
    )
    page.fill("#model", "grand xl")
    page.press("#model", "Enter")
    expect(page.locator("#json")).to_contain_text("Grand XL")
    page.fill("#model", "nothing of that name")
    page.press("#model", "Enter")
    page.wait_for_selector("#status.wrong")
    assert "no model of the catalog" in page.text_content("#status")


def test_each_targets_request_is_copied(page: Any, agent: Agent) -> None:
    call = ask(page, "an oil painting of a harbour")
    page.get_by_role("button", name="Copy A1111").click()
    expect(page.locator("#status")).to_contain_text("Copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert call["seed"] is None
    assert 0 <= copied["seed"] < 2**32  # drawn for the request
    seeded = agent.call("an oil painting of a harbour").model_copy(update={"seed": copied["seed"]})
    assert copied == agent.targets["a1111"](seeded).request
    page.get_by_role("button", name="Copy call").click()
    expect(page.locator("#status")).to_have_text("Copied: call")
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == call
    page.get_by_role("button", name="Copy ComfyUI").click()
    expect(page.locator("#status")).to_have_text("Copied: ComfyUI")
    expect(page.locator("#not-carried")).to_be_empty()
    page.get_by_role("button", name="Copy OpenAI").click()
    expect(page.locator("#not-carried")).to_contain_text("sampling_method, scheduler")


def test_images_are_dropped_identified_and_taken_away(page: Any, agent: Agent) -> None:
    page.evaluate(DROP, ["fox.png", base64.b64encode(picture(7)).decode()])
    page.set_input_files("#files", files=[{"name": "b.png", "mimeType": "image/png", "buffer": picture(8)}])
    page.get_by_role("button", name="Remove b.png").wait_for()
    assert page.locator("#pictures img").count() == 2
    page.get_by_role("button", name="Which model made these?").click()
    expect(page.locator("#status")).to_contain_text("The most probable of 5: ")
    _, (air, _), *_ = agent.identify([picture(7), picture(8)]).best()
    assert page.locator("#candidates li").first.get_attribute("data-air") == air
    page.get_by_role("button", name="Remove fox.png").click()
    page.get_by_role("button", name="Remove b.png").click()
    assert page.locator("#identify").is_hidden()


def test_the_keyboard_is_enough(page: Any) -> None:
    assert page.evaluate("document.activeElement.id") == "prompt"
    page.keyboard.type("pixel art of a fox")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_contain_text(", in ")
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert reached.index("files") < reached.index("route") < reached.index("Use") < reached.index("model")
    assert reached.index("model") < reached.index("Copy call") < reached.index("nearest")
    page.focus("#model")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_at_phone_width_nothing_is_cut_off(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    ask(page, "pixel art of a fox, " + "averylongwordwithoutanyspace" * 8)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = page.evaluate(
        "[...document.querySelectorAll('button:not([hidden]), input, p, dd')].filter((e) => e.offsetParent)"
        ".map((e) => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 14
    heights = page.evaluate(
        "[...document.querySelectorAll('button')].filter((e) => e.offsetParent).map((e) => e.offsetHeight)"
    )
    assert min(heights) >= 36


def test_every_field_has_a_name(page: Any) -> None:
    ask(page, "pixel art of a fox")
    nameless = page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button')]"
        ".filter((e) => !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim()))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []


def test_what_goes_wrong_is_said_and_can_be_tried_again(page: Any) -> None:
    page.fill("#prompt", "<lora:x:1>")
    page.click("#route")
    page.wait_for_selector("#status.wrong")
    assert page.text_content("#status") == "the prompt holds nothing but LoRA tags: say what to draw"
    assert page.is_enabled("#route")
