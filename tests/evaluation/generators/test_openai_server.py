"""Against a real HTTP server on the loopback."""

import base64
import builtins
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from leopard.errors import ConfigError, GenerationError
from leopard.evaluation.generators.openai_server import OpenAIGenerator, ServerOptions
from leopard.schema.generation import GenerationRequest, SamplingOptions
from leopard.schema.messages import ImagePart, Message


class Server:
    def __init__(self):
        self.bodies, self.headers, self.in_flight, self.most = [], [], 0, 0
        self.script = []
        self.gate = threading.Semaphore(0)
        self.wait = False
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.handle(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def handle(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self.lock:
            self.bodies.append(body)
            self.headers.append(dict(handler.headers))
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            status, payload, extra = self.script.pop(0) if self.script else (200, None, {})
        if self.wait:
            self.gate.acquire(timeout=5)
        if payload is None:
            text = body["messages"][0]["content"][-1]["text"]
            payload = {
                "choices": [{"message": {"content": f"to {text}"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 2},
            }
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        with self.lock:
            self.in_flight -= 1
        handler.send_response(status)
        for name, value in extra.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()
    server.thread.join()


@pytest.fixture
def ask(server):
    made = []

    def make(**options):
        pauses = []
        options = {"base_url": server.url, "model": "m", **options}
        generator = OpenAIGenerator(ServerOptions(**options), sleep=pauses.append)
        made.append(generator)
        return generator, pauses

    yield make
    for generator in made:
        generator.close()


def request(text="q", images=(), **sampling):
    parts = [ImagePart()] * len(images)
    return GenerationRequest(
        messages=(Message.of("user", *parts, text),),
        images=tuple(images),
        sampling=SamplingOptions(**sampling),
    )


def test_text_and_pictures_travel_in_order(server, ask):
    generator, _ = ask(api_key="secret")
    pictures = [Image.new("RGB", (3, 2), color) for color in ("red", "blue")]
    (answer,) = generator.generate([request("hello", pictures, max_new_tokens=5)])
    assert answer.text == "to hello"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 2)
    body = server.bodies[0]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 5, 0.0)
    content = body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    sent = [
        Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].split(",")[1])))
        for part in content[:2]
    ]
    assert [image.getpixel((0, 0)) for image in sent] == [(255, 0, 0), (0, 0, 255)]
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "top_p" not in body


def test_sampling_options_are_passed_on(server, ask):
    generator, _ = ask()
    generator.generate([request(temperature=0.5, top_p=0.9, seed=3, stop=("END",))])
    body = server.bodies[0]
    assert (body["top_p"], body["seed"], body["stop"]) == (0.9, 3, ["END"])


def test_answers_keep_request_order_and_concurrency_is_bounded(server, ask):
    generator, _ = ask(concurrency=3)
    server.wait = True
    for _ in range(9):
        server.gate.release()
    answers = generator.generate([request(str(index)) for index in range(9)])
    assert [answer.text for answer in answers] == [f"to {index}" for index in range(9)]
    assert 1 <= server.most <= 3


def test_failures_that_may_pass_are_tried_again(server, ask):
    generator, pauses = ask(pause_s=0.5)
    server.script = [
        (503, {"error": "busy"}, {}),
        (429, {"error": "slow"}, {"retry-after": "7"}),
        (500, {}, {"retry-after": "soon"}),
    ]
    assert generator.generate([request()])[0].text == "to q"
    assert pauses == [0.5, 7.0, 2.0]


def test_patience_ends(server, ask):
    generator, pauses = ask(retries=2, pause_s=50)
    server.script = [(503, {"error": "busy"}, {})] * 3
    with pytest.raises(GenerationError, match=r"503.*busy.*after 3 tries"):
        generator.generate([request()])
    assert pauses == [50, 60.0]


def test_refusals_are_not_tried_again(server, ask):
    generator, pauses = ask()
    server.script = [(400, {"error": "too many images"}, {})]
    with pytest.raises(GenerationError, match=r"400: .*too many images"):
        generator.generate([request()])
    assert not pauses


@pytest.mark.parametrize(
    ("payload", "word"), [(b"<html>", "not JSON"), ({"choices": []}, "holds no message")]
)
def test_strange_answers_are_named(payload, word, server, ask):
    generator, _ = ask()
    server.script = [(200, payload, {})]
    with pytest.raises(GenerationError, match=word):
        generator.generate([request()])


def test_cut_answers_say_so(server, ask):
    generator, _ = ask()
    choice = {"message": {"content": None}, "finish_reason": "length"}
    server.script = [(200, {"choices": [choice]}, {})]
    answer = generator.generate([request()])[0]
    assert (answer.text, answer.finish_reason) == ("", "length")


def test_a_server_that_is_not_there(ask):
    generator, pauses = ask(base_url="http://127.0.0.1:9/v1", retries=1)
    with pytest.raises(GenerationError, match="is the server running"):
        generator.generate([request()])
    assert len(pauses) == 1
    with pytest.raises(GenerationError, match="is the server running"):
        list(generator.stream(request()))


def test_streaming(server, ask):
    generator, _ = ask()
    chunks = [{"choices": [{"delta": {"content": text}}]} for text in ("a", "b")]
    lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    server.script = [(200, lines.encode(), {}), (500, {}, {}), (200, b"data: {\n\n", {})]
    assert list(generator.stream(request())) == ["a", "b"]
    for word in ("500", "not understood"):
        with pytest.raises(GenerationError, match=word):
            list(generator.stream(request()))


def test_impossible_options_are_refused():
    with pytest.raises(ConfigError, match="http"):
        ServerOptions(base_url="localhost:8000", model="m")
    with pytest.raises(ConfigError, match="concurrency"):
        ServerOptions(base_url="http://x", model="m", concurrency=0)


def test_missing_httpx_names_the_command(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "httpx":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(GenerationError, match="pip install"):
        OpenAIGenerator(ServerOptions(base_url="http://x", model="m"))


def test_name_and_fingerprint(ask, server):
    generator, _ = ask()
    assert generator.name == "m"
    assert generator.fingerprint == f"m@{server.url}"
