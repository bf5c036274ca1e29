"""Headless Chromium, spoken to through its debugging pipe.

Speaks the Chrome DevTools Protocol (JSON messages ended by NUL, on file descriptors 3 and 4).
Knows nothing of which pages may be loaded: the proxy decides that.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import math
import os
import select
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leopard.documents.limits import Stopwatch
from leopard.documents.programs import ended_at_exit

PAGE_WIDTH_PX = 1280
"""Width at which pages are laid out, in CSS pixels."""
PAGE_HEIGHT_PX = 1600
"""Height of the pages into which long web pages are split, in CSS pixels."""
ONE_PAGE_HEIGHT_PX = 2000
"""Web pages up to this height stay one page, in CSS pixels."""
CSS_PX_PER_INCH = 96
_MIN_HEIGHT_PX = 200
_QUIET_S = 3.0
"""How long a page with scripts may go on loading after its load event, in seconds."""

_FLAGS = (
    *("--headless", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-extensions", "--disable-default-apps", "--no-default-browser-check"),
    *("--disable-dev-shm-usage", "--mute-audio", "--hide-scrollbars"),
    *("--font-render-hinting=none", "--metrics-recording-only"),
    # Without these, name look-ups and WebRTC packets would go round the proxy.
    *("--dns-prefetch-disable", "--force-webrtc-ip-handling-policy=disable_non_proxied_udp"),
    *("--proxy-bypass-list=<-loopback>", "--remote-debugging-pipe"),
)

# Chromium expects its pipe at descriptors 3 and 4, which Popen itself may be using in our process.
_LAUNCHER = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class BrowserError(Exception):
    """Chromium did not do what it was asked. The message is its own."""


class Browser:
    """A running Chromium with one blank page; made by `started`."""

    def __init__(self, commands: int, answers: int, watch: Stopwatch) -> None:
        self._commands = commands
        self._answers = answers
        self._watch = watch
        self._received = bytearray()
        self._events: deque[dict[str, Any]] = deque()
        self._last_id = 0
        self._session: str | None = None

    def open_page(self, url: str, *, use_scripts: bool) -> None:
        """Load an address as a screen 1280 CSS pixels wide would.

        Raises:
            BrowserError: If it cannot be loaded.
            DocumentLimitError: If it takes too long.
        """
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.call("Page.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)
        self.call("Emulation.setScriptExecutionDisabled", value=not use_scripts)
        self.call("Emulation.setEmulatedMedia", media="screen")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=PAGE_WIDTH_PX,
            height=PAGE_HEIGHT_PX,
            deviceScaleFactor=1,
            mobile=False,
        )
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise BrowserError(answer["errorText"])
        loader = answer.get("loaderId")
        self._wait_for_lifecycle("load", loader, self._watch.remaining_s)
        if use_scripts:
            with contextlib.suppress(TimeoutError):
                quiet_s = min(_QUIET_S, self._watch.remaining_s)
                self._wait_for_lifecycle("networkIdle", loader, quiet_s)

    def content_height(self) -> int:
        """Height of the page's content, in CSS pixels, rounded up."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        return max(_MIN_HEIGHT_PX, math.ceil(float(size["height"])))

    def print_pdf(self, height_px: int) -> bytes:
        """The page as a PDF file with pages of 1280 x `height_px` CSS pixels, without margins."""
        answer = self.call(
            "Page.printToPDF",
            printBackground=True,
            preferCSSPageSize=False,
            paperWidth=PAGE_WIDTH_PX / CSS_PX_PER_INCH,
            paperHeight=height_px / CSS_PX_PER_INCH,
            **dict.fromkeys(("marginTop", "marginBottom", "marginLeft", "marginRight"), 0),
        )
        try:
            return base64.b64decode(answer["data"])
        except (KeyError, binascii.Error) as error:
            raise BrowserError("printing gave no PDF file") from error

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Raises:
            BrowserError: If the browser refuses or ends.
            DocumentLimitError: If it takes too long.
        """
        sent = self._send(method, params)
        try:
            while True:
                message = self._receive(self._watch.remaining_s)
                if message.get("id") != sent:
                    self._note(message)
                elif "error" in message:
                    raise BrowserError(f"{method}: {message['error'].get('message')}")
                else:
                    result: dict[str, Any] = message.get("result", {})
                    return result
        except TimeoutError as error:
            raise self._watch.error() from error

    def _send(self, method: str, params: dict[str, Any]) -> int:
        self._last_id += 1
        command = {"id": self._last_id, "method": method, "params": params}
        if self._session is not None:
            command["sessionId"] = self._session
        data = memoryview(json.dumps(command).encode() + b"\0")
        try:
            while data:
                data = data[os.write(self._commands, data) :]
        except OSError as error:
            raise BrowserError("Chromium ended") from error
        return self._last_id

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Page.javascriptDialogOpening":
            # An alert would keep the page from loading any further.
            self._send("Page.handleJavaScriptDialog", {"accept": False})
        elif message.get("method") == "Page.lifecycleEvent":
            self._events.append(message["params"])

    def _wait_for_lifecycle(self, name: str, loader: str | None, timeout_s: float) -> None:
        until = self._watch.spent_s + timeout_s
        while True:
            while self._events:
                event = self._events.popleft()
                if event["name"] == name and loader in (None, event.get("loaderId")):
                    return
            left_s = until - self._watch.spent_s
            if left_s <= 0:
                if name == "load":
                    raise self._watch.error()
                raise TimeoutError
            with contextlib.suppress(TimeoutError):
                self._note(self._receive(left_s))

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        until = self._watch.spent_s + timeout_s
        while (end := self._received.find(b"\0")) < 0:
            left_s = until - self._watch.spent_s
            if left_s <= 0 or not select.select([self._answers], [], [], left_s)[0]:
                raise TimeoutError
            data = os.read(self._answers, 1 << 20)
            if not data:
                raise BrowserError("Chromium ended")
            self._received += data
        message: dict[str, Any] = json.loads(self._received[:end])
        del self._received[: end + 1]
        return message


@contextmanager
def started(program: str, folder: Path, *, proxy: str, watch: Stopwatch) -> Iterator[Browser]:
    """Start Chromium with a fresh profile; it and its children are killed at the end.

    Args:
        program: Path of the program.
        folder: An existing folder for the profile.
        proxy: Host and port through which everything is loaded.
        watch: Seconds left for the document.

    Raises:
        BrowserError: If it ends early; the message holds what it wrote last.
    """
    command = [program, *_FLAGS, f"--proxy-server=http://{proxy}"]
    command += [f"--user-data-dir={folder / 'profile'}"]
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium's sandbox refuses to run as root
    with contextlib.ExitStack() as stack, tempfile.TemporaryFile() as output:
        ours, theirs = (stack.enter_context(_OpenEnds()) for _ in range(2))
        theirs_in, commands = os.pipe()
        answers, theirs_out = os.pipe()
        ours.ends = [commands, answers]
        theirs.ends = [theirs_in, theirs_out]
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(theirs_in), str(theirs_out)]
        process = subprocess.Popen(
            [*launcher, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
        )
        stack.enter_context(ended_at_exit(process))
        # Only with our copies closed do we notice when Chromium ends.
        theirs.close()
        try:
            yield Browser(commands, answers, watch)
        except BrowserError as error:
            output.seek(0)
            lines = output.read().decode("utf-8", "replace").strip().splitlines()
            raise BrowserError(f"{error}: {lines[-1]}" if lines else str(error)) from error


class _OpenEnds:
    """Ends of pipes that are closed once: a number closed twice may be another's file by then."""

    def __init__(self) -> None:
        self.ends: list[int] = []

    def __enter__(self) -> _OpenEnds:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close those that are open."""
        while self.ends:
            with contextlib.suppress(OSError):
                os.close(self.ends.pop())
