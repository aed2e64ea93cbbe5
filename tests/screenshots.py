"""The pictures in docs/http.md, with what ships: ``PYTHONPATH=tests python tests/screenshots.py``."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright
from server_runs import served

from diffagent.agent.agent import Agent
from diffagent.serving.server.app import create_app

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
PROMPT = "A cute happy corgi, pixel art"


def take(page: Page, url: str, name: str) -> None:
    page.goto(url)
    page.fill("#prompt", PROMPT)
    page.click("#route")
    expect(page.locator("#status")).to_contain_text(", in ", timeout=60_000)
    page.screenshot(path=PICTURES / name)


def main() -> None:
    with served(create_app(Agent.load())) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        desktop = browser.new_page(viewport={"width": 1100, "height": 1360}, color_scheme="light")
        warm_up = desktop.request.post(f"{url}/v1/route", data={"prompt": "a fox, pixel art"})
        expect(warm_up).to_be_ok()
        take(desktop, url, "page.png")
        phone = browser.new_page(viewport={"width": 390, "height": 1500}, color_scheme="light")
        take(phone, url, "page-phone.png")
        browser.close()


if __name__ == "__main__":
    main()
