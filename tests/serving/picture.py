"""Makes docs/images/page.png: the page with a document and an answer, in light colours.

Run: python -m tests.serving.picture docs/images/page.png
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from leopard import Leopard
from leopard.cli._served import planner_of
from leopard.serving.service import ServedModel
from tests.serving.live import live
from tests.serving.test_page import CHROMIUM

EXAMPLE = Path(__file__).parents[2] / "examples" / "broadcast-invoice.pdf"
QUESTIONS = ("What is the Billing phone?",)
WIDTH_PX, HEIGHT_PX = 1280, 800


def main(target: str) -> None:
    """Ask the shipped model about the example and take a picture."""
    leopard = Leopard.from_pretrained()
    model = ServedModel(
        generator=leopard.generator,
        load_options=leopard.load_options(),
        planner=planner_of(leopard.processor),
    )
    with live(model) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH_PX, "height": HEIGHT_PX})
        page.goto(server.url)
        page.get_by_label("Choose files").set_input_files(EXAMPLE)
        page.get_by_text("3 pages,").wait_for()
        page.get_by_label("Most tokens").fill("48")
        for question in QUESTIONS:
            page.get_by_label("Question", exact=True).fill(question)
            page.keyboard.press("Enter")
            page.locator(".turn.is-running").wait_for(timeout=60_000)
            page.locator(".turn.is-running").wait_for(state="detached", timeout=300_000)
        page.wait_for_timeout(1000)
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
