"""A chat server on the loopback that answers every job, keeps its own books, and can misbehave."""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
INPUT_USD, OUTPUT_USD = 2.5, 10.0
"""Prices per million tokens, as the server bills."""


class ChatServer:
    """Answers by rule; `fault(body, number)` may name a fault for a request."""

    def __init__(self, gold: dict[str, str] | None = None) -> None:
        self.gold = gold or {}
        self.fault: Callable[[Body, int], str] = lambda body, number: ""
        self.reply: Callable[[Body], str] = self.by_rule
        self.finish_reason = "stop"
        self.sends_usage = True
        self.slow_s = 0.0
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.faults = Counter[str]()
        self.answered = Counter[str]()
        """Hash of the body -> how often it was answered and billed."""
        self.billed_nano = 0
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.handle(self)

            def log_message(self, *args: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            request_queue_size = 128
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients are killed in these tests

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self.lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.headers.append(dict(handler.headers))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            fault = self.fault(body, number)
            self.faults[fault] += 1
        try:
            if self.slow_s:
                time.sleep(self.slow_s)
            self.answer(handler, body, fault)
        finally:
            with self.lock:
                self.in_flight -= 1

    def answer(self, handler: BaseHTTPRequestHandler, body: Body, fault: str) -> None:
        if fault == "drop":
            self.bill(body, 50)
            handler.close_connection = True
            handler.connection.close()
            return
        if fault == "slow":
            self.bill(body, 50)
            time.sleep(1.0)
        if fault.isdigit():
            extra = {"retry-after": "0.01"} if fault == "429" else {}
            send(handler, int(fault), json.dumps({"error": {"message": "no"}}).encode(), extra)
            return
        if fault == "broken":
            self.bill(body, 50)
            send(handler, 200, b'{"id": "x", "choices": [{"mess', {})
            return
        text = "{not json" if fault == "form" else self.reply(body)
        usage = self.bill(body, max(1, len(text) // 4))
        with self.lock:
            self.answered[digest(body)] += 1
        message = {"role": "assistant", "content": text}
        payload: Body = {
            "id": "x", "object": "chat.completion", "created": 0, "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": self.finish_reason}],
        }  # fmt: skip
        if self.sends_usage:
            payload["usage"] = usage
        send(handler, 200, json.dumps(payload).encode(), {})

    def bill(self, body: Body, output_tokens: int) -> Body:
        sent = sum(len(text) for text in texts(body)) // 3 + 700 * num_images(body)
        received = min(output_tokens, body.get("max_tokens", 10**9))
        with self.lock:
            self.billed_nano += round(1000 * (sent * INPUT_USD + received * OUTPUT_USD))
        total = sent + received
        return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": total}

    # -- the model -------------------------------------------------------------------------------

    def by_rule(self, body: Body) -> str:
        system, user = texts(body)[0], texts(body)[-1]
        if system.startswith("You reword"):
            question = user.rpartition("Question: ")[2]
            return json.dumps({"question": f"Please tell me: {question}"})
        if system.startswith("You compare"):
            return '{"same": true}'
        if system.startswith("You explain"):
            question = user.rpartition("Question: ")[2]
            answer = self.gold.get(question, "I do not know")
            return f"The page says so.\n{json.dumps({'answer': answer})}"
        if system.startswith("You write"):
            return json.dumps({"questions": free_questions(user)})
        assert system.startswith("You judge"), system
        ratings = ("answer", "training_signal", "question", "grounding", "format")
        return json.dumps(dict.fromkeys(ratings, 5))


def free_questions(facts: str) -> list[dict[str, str]]:
    """Asks for the first field or the first row: once right, once with a wrong answer."""
    field = re.search(r"^(f\d+) \(page \d+\) (.*): (.*)$", facts, re.M)
    if field:
        program = {"op": "read", "element": field[1]}
        made = [(f"Which value is given for {field[2]}?", program, field[3])]
    else:
        table = re.search(r"^Table (t\d+) ", facts, re.M)
        assert table is not None
        rows = {"op": "rows", "table": table[1], "where": []}
        number = len(re.findall(r"^row ", facts.split("Table ")[1], re.M))
        program = {"op": "count", "rows": rows}
        made = [("How many rows does the first table list?", program, str(number))]
    made.append(("What else is given at the top?", program, "something else"))
    return [
        {"question": question, "program": json.dumps(program), "answer": answer}
        for question, program, answer in made
    ]


def texts(body: Body) -> list[str]:
    parts = [message["content"] for message in body["messages"]]
    flat = [part for p in parts for part in ([{"text": p}] if isinstance(p, str) else p)]
    return [part["text"] for part in flat if "text" in part]


def num_images(body: Body) -> int:
    return sum(part["type"] == "image_url" for part in body["messages"][1]["content"])


def digest(body: Body) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def send(
    handler: BaseHTTPRequestHandler, status: int, payload: bytes, extra: dict[str, str]
) -> None:
    handler.send_response(status)
    for name, value in extra.items():
        handler.send_header(name, value)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(payload)))
    handler.end_headers()
    handler.wfile.write(payload)


def now_and_then(seed: int = 0, *, kinds: tuple[str, ...]) -> Callable[[Body, int], str]:
    """Each of these faults for one request in twelve; which ones hangs on their order."""
    rng = random.Random(seed)

    def fault(body: Body, number: int) -> str:
        draw = int(rng.random() * 12)
        return kinds[draw] if draw < len(kinds) else ""

    return fault
