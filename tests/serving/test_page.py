"""The page in a real browser without a window; skipped where there is no Chromium."""

import json
import re
import shutil

import pytest

from leopard.serving.keys import ApiKeys, hash_key
from tests.serving.live import fake_model, live, pdf, png, wait_until

CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="the page is tested in Chromium, and none is on the PATH"
)


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def answer(request):
    words = str(request.messages[0].parts[-1].text).upper()
    return f"You said {words} about {len(request.images)} pages. " + "More words follow. " * 4


@pytest.fixture(scope="module")
def server():
    with live(fake_model(answer, step_s=0.03)) as running:
        yield running


@pytest.fixture
def context(browser):
    found = browser.new_context(
        permissions=["clipboard-read", "clipboard-write"], accept_downloads=True
    )
    found.set_default_timeout(60_000)
    yield found
    found.close()


@pytest.fixture
def page(context, server):
    return open_tab(context, server)


def open_tab(context, server):
    """A tab on the page; what it loads from elsewhere and what it logs as errors is an error."""
    tab = context.new_page()
    tab.problems = []
    tab.on("pageerror", lambda error: tab.problems.append(str(error)))
    tab.on(
        "request",
        lambda request: (
            request.url.startswith((server.url, "blob:")) or tab.problems.append(request.url)
        ),
    )
    tab.on(
        "console",
        lambda message: "Content Security" in message.text and tab.problems.append(message.text),
    )
    tab.goto(server.url)
    tab.get_by_text("fake", exact=True).wait_for()
    return tab


def add_files(tab, *files):
    given = [
        {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        for name, data in files
    ]
    tab.get_by_label("Choose files").set_input_files(given)


def wait_in(tab, expression):
    """Wait for an expression to be true; the browser's own waiting needs eval, which is refused."""
    wait_until(lambda: tab.evaluate(expression))


def ask(tab, text, *, wait=True):
    tab.get_by_label("Question", exact=True).fill(text)
    tab.keyboard.press("Enter")
    turn = tab.locator(".turn").last
    if wait:
        tab.locator(".turn.is-running").wait_for(state="detached")
    return turn


def test_upload_ask_and_stream(page):
    add_files(page, ("report.pdf", pdf(1, 2)), ("photo.png", png(3)))
    page.get_by_text("3 pages,").wait_for()
    assert page.locator("#pages figure").count() == 3
    wait_in(
        page,
        "[...document.querySelectorAll('#pages img')].every((image) => image.naturalWidth > 0)",
    )
    turn = ask(page, "tell me", wait=False)
    wait_in(
        page, "document.querySelector('.turn.is-running .answer')?.textContent.includes('You said')"
    )
    early = turn.locator(".answer").text_content()
    page.locator(".turn.is-running").wait_for(state="detached")
    whole = turn.locator(".answer").text_content()
    assert whole.startswith("You said TELL ME about 3 pages.")
    assert len(early) < len(whole)
    assert "visual tokens" in turn.locator(".meta").text_content()
    assert page.problems == []


def test_crops_and_shares_are_drawn_on_each_page(page, server):
    add_files(page, ("report.pdf", pdf(1, 2)))
    page.get_by_text("2 pages,").wait_for()
    file_id = json.loads(page.evaluate("sessionStorage.getItem('leopard-state')"))["files"][0]["id"]
    with server.client() as client:
        view = client.get("/v1/pages", params={"file": file_id}).json()
    figures = page.locator("#pages figure")
    assert figures.count() == len(view["pages"]) == 2
    for number, expected in enumerate(view["pages"]):
        figure = figures.nth(number)
        boxes = figure.locator("rect")
        assert boxes.count() == len(expected["tiles"]) == expected["rows"] * expected["cols"] > 0
        first = expected["tiles"][0]
        width = float(boxes.first.get_attribute("width"))
        assert width == pytest.approx((first["right"] - first["left"]) * expected["width"])
        caption = figure.locator("figcaption").text_content()
        assert f"{expected['visual_tokens']:,} visual tokens" in caption
        assert float(figure.locator("meter").get_attribute("value")) == expected["share"]
    assert boxes.first.is_visible()
    page.get_by_label("Show crops").uncheck()
    assert not boxes.first.is_visible()


def test_errors_are_told_and_the_page_goes_on(page, server):
    add_files(page, ("torn.pdf", b"%PDF-1.4 torn"), ("good.png", png(1)))
    alert = page.get_by_role("alert")
    alert.get_by_text("torn.pdf: the PDF file is damaged").wait_for()
    assert page.locator("#pages figure").count() == 1
    page.get_by_label("Pages", exact=True).fill("nonsense")
    page.keyboard.press("Tab")
    alert.get_by_text("nonsense").wait_for()
    page.get_by_label("Pages", exact=True).fill("")
    page.keyboard.press("Tab")
    page.get_by_text("1 page,").wait_for()
    page.get_by_label("Most tokens").fill("4096")
    server.service.admission.is_closed = True
    try:
        turn = ask(page, "hello")
        assert "is-bad" in turn.get_attribute("class")
        assert "the server is stopping" in turn.locator(".answer").text_content()
    finally:
        server.service.admission.is_closed = False
    assert "You said AGAIN" in ask(page, "again").locator(".answer").text_content()
    assert page.problems == []


def test_question_can_be_stopped(page, server):
    turn = ask(page, "long", wait=False)
    wait_in(page, "document.querySelector('.answer')?.textContent.length > 3")
    page.keyboard.press("Escape")
    page.locator(".turn.is-running").wait_for(state="detached")
    assert "stopped" in turn.locator(".meta").text_content()
    wait_until(lambda: server.service.admission.num_at_work == 0)


def test_two_tabs_do_not_meet(context, server):
    first, second = open_tab(context, server), open_tab(context, server)
    add_files(first, ("one.png", png(1)))
    add_files(second, ("two.pdf", pdf(1, 2)))
    first.get_by_text("1 page,").wait_for()
    second.get_by_text("2 pages,").wait_for()
    turns = [ask(first, "first tab", wait=False), ask(second, "second tab", wait=False)]
    for tab, turn, expected in zip(
        (first, second), turns, ("FIRST TAB about 1 pages", "SECOND TAB about 2 pages"), strict=True
    ):
        tab.locator(".turn.is-running").wait_for(state="detached")
        assert expected in turn.locator(".answer").text_content()
        assert tab.locator(".turn").count() == 1
        assert tab.locator("#file-list li").count() == 1
        assert tab.problems == []


def test_questions_are_kept_copied_downloaded_and_cleared(page):
    add_files(page, ("one.png", png(1)))
    page.get_by_text("1 page,").wait_for()
    for text in ("alpha", "beta"):
        ask(page, text)
    page.reload()
    page.get_by_text("1 page,").wait_for()
    assert page.locator(".turn h3").all_text_contents() == ["alpha", "beta"]
    page.locator(".turn").last.get_by_role("button", name="Copy answer").click()
    page.get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".turn").last.locator(".answer").text_content()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download JSON").click()
    data = json.loads(waiting.value.path().read_text())
    assert [turn["question"] for turn in data["turns"]] == ["alpha", "beta"]
    assert data["turns"][1]["answer"] == copied
    assert data["turns"][1]["usage"]["prompt_tokens_details"]["visual_tokens"] == 1
    assert data["turns"][1]["files"][0]["name"] == "one.png"
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".turn").count() == 0
    page.reload()
    assert page.locator(".turn").count() == 0


def test_files_can_be_pasted_dropped_and_removed(page):
    for kind in ("paste", "drop"):
        page.evaluate(
            """([kind, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], `${kind}.png`));
                const event = kind === "paste"
                    ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
                    : new DragEvent("drop", { dataTransfer: data, bubbles: true });
                document.body.dispatchEvent(event);
            }""",
            [kind, list(png(1))],
        )
        page.get_by_role("button", name=f"Remove {kind}.png").wait_for()
    page.get_by_text("2 pages,").wait_for()
    page.get_by_role("button", name="Remove paste.png").click()
    page.get_by_text("1 page,").wait_for()
    assert page.locator("#file-list li").count() == 1


def test_everything_can_be_done_from_the_keyboard(page):
    seen = []
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    for name in ("skip", "theme", "files", "question", "max-tokens", "send"):
        assert name in seen, (name, seen)
    assert seen.index("files") < seen.index("question") < seen.index("send")


def test_every_control_has_a_name_and_every_picture_a_text(page):
    add_files(page, ("one.png", png(1)))
    page.get_by_text("1 page,").wait_for()
    ask(page, "hm")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, textarea, img, meter")]
            .filter((one) => !(one.labels?.length || one.ariaLabel || one.alt || one.innerText))
            .map((one) => one.outerHTML)"""
    )
    assert nameless == ['<button id="stop" type="button" hidden="">Stop</button>'] or nameless == []
    for role in ("log", "alert", "status", "main", "banner"):
        assert page.get_by_role(role, include_hidden=True).count() >= 1, role


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(scheme, browser, server):
    context = browser.new_context(color_scheme=scheme)
    tab = open_tab(context, server)
    add_files(tab, ("one.png", png(1)))
    tab.get_by_text("1 page,").wait_for()
    ask(tab, "hm")
    for selector in ("h2", ".soft", ".answer", ".main", "h1", "figcaption"):
        ink, paper = tab.locator(selector).first.evaluate(
            """(element) => {
                const ink = getComputedStyle(element).color;
                let paper = "rgba(0, 0, 0, 0)";
                for (let at = element; at && paper === "rgba(0, 0, 0, 0)"; at = at.parentElement)
                    paper = getComputedStyle(at).backgroundColor;
                return [ink, paper];
            }"""
        )
        assert contrast(ink, paper) >= 4.5, (selector, ink, paper)
    tab.get_by_label("Colours").select_option("dark" if scheme == "light" else "light")
    tab.reload()
    assert tab.evaluate("document.documentElement.dataset.theme") != scheme
    context.close()


def contrast(one, other):
    """Contrast ratio of WCAG 2."""

    def luminance(text):
        parts = [int(part) / 255 for part in re.findall(r"\d+", text)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_what_a_document_is_called_and_answers_is_never_markup(page):
    evil = "<img src=x onerror=alert(1)>"
    add_files(page, (f"{evil.replace('/', '')}.png", png(1)))
    page.get_by_text("1 page,").wait_for()
    turn = ask(page, evil)
    assert evil.upper() in turn.locator(".answer").text_content()
    assert page.locator("img").count() == 1
    assert page.problems == []


def test_key_is_asked_for_when_the_server_wants_one(browser):
    keys = ApiKeys({"ada": hash_key("lp-secret")})
    with live(fake_model(answer), keys=keys) as server:
        context = browser.new_context()
        tab = context.new_page()
        tab.goto(server.url)
        tab.get_by_label("Key", exact=True).fill("lp-secret")
        tab.keyboard.press("Enter")
        tab.get_by_text("fake", exact=True).wait_for()
        add_files(tab, ("one.png", png(1)))
        tab.get_by_text("1 page,").wait_for()
        wait_in(tab, "document.querySelector('#pages img').naturalWidth > 0")
        assert "You said HI" in ask(tab, "hi").locator(".answer").text_content()
        context.close()
