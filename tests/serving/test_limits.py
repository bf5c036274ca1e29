"""Every input has a limit, and going over it has a status and a sentence."""

import io
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from leopard.serving.settings import MB
from tests.serving.live import (
    data_url,
    events,
    fake_model,
    file_part,
    image_part,
    live,
    pdf,
    png,
    question,
    upload,
    wait_until,
)


@pytest.fixture(scope="module")
def server():
    with live(
        max_request_bytes=200_000,
        max_file_bytes=100_000,
        max_store_bytes=150_000,
        max_files=3,
        max_inputs=4,
        max_pages=5,
        max_page_pixels=400_000,
        max_request_pixels=450_000,
        receive_timeout_s=2.0,
    ) as running:
        yield running


@pytest.fixture
def client(server):
    with server.client() as found:
        for stored in found.get("/v1/files").json()["data"]:
            found.delete(f"/v1/files/{stored['id']}")
        yield found


def ask(client, *parts, **fields):
    return client.post("/v1/chat/completions", json=question("What?", *parts, **fields))


def refused(answer, status, *words):
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    for word in words:
        assert word in error["message"], error
    return error


def test_large_request_is_refused_by_its_length(client):
    error = refused(client.post("/v1/chat/completions", content=b"x" * 200_001), 413, "200,000")
    assert error["code"] == "request_too_large"


def test_large_request_of_unsaid_length_is_refused_on_the_way(client):
    chunks = (b"x" * 50_000 for _ in range(20))
    refused(client.post("/v1/chat/completions", content=chunks), 413, "200,000")


def test_slow_request_is_given_up(server):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\n"
        slow.sendall(
            (head + "Content-Type: application/json\r\nContent-Length: 900\r\n\r\n{").encode()
        )
        assert b" 408 " in slow.recv(100)


def test_too_many_inputs_are_refused(client):
    refused(ask(client, *[image_part(1)] * 5), 400, "5 images and files", "4")


def test_too_many_pages_are_refused():
    data = data_url(pdf(1, 2, 3, 4, 5, 6), "application/pdf")
    part = {"type": "file", "file": {"file_data": data, "filename": "long.pdf"}}
    with live(max_pages=5) as server, server.client() as client:
        refused(ask(client, part), 400, "long.pdf", "6 pages", "5")
        assert ask(client, part, pages="1-2").status_code == 200


@pytest.mark.parametrize(("side", "words"), [(5000, "limit is 400,000"), (14_000, "Pillow")])
def test_image_bomb_is_refused_by_its_header(side, words, client):
    stream = io.BytesIO()
    Image.new("1", (side, side)).save(stream, format="PNG")
    part = {"type": "image_url", "image_url": {"url": data_url(stream.getvalue())}}
    refused(ask(client, part), 400, "image 1", words)


def test_pixels_of_all_pages_have_a_limit(client):
    parts = [image_part(1, size=(500, 600))] * 2
    assert ask(client, parts[0]).status_code == 200
    refused(ask(client, *parts), 400, "600,000", "450,000")


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (data_url(b"no picture at all"), ["text, which has no pages"]),
        (data_url(png()[:200]), ["image 1"]),
        (data_url(b"%PDF-1.4 torn"), ["image 1", "damaged"]),
        (data_url(b"<html><body>hi</body></html>"), ["web page", "does not read"]),
        ("data:image/png;base64,&&&&", ["not base64"]),
        ("data:image/png,abc", ["not base64"]),
        ("file:///etc/passwd", ["only data:"]),
        ("ftp://example.com/a.png", ["only data:"]),
        ("http://127.0.0.1/a.png", ["fetches no addresses"]),
        ("https://example.com/a.png", ["fetches no addresses"]),
        ("/etc/passwd", ["only data:"]),
    ],
)
def test_what_is_no_picture_is_said(part, words, client):
    refused(ask(client, {"type": "image_url", "image_url": {"url": part}}), 400, *words)


def test_errors_do_not_show_paths_of_the_server(client):
    answer = ask(client, {"type": "image_url", "image_url": {"url": data_url(b"%PDF-1.4 torn")}})
    assert "/tmp" not in answer.text


def test_large_file_is_refused(client):
    refused(client.post("/v1/files", files={"file": ("a.pdf", b"x" * 100_001)}), 413, "100,000")
    assert client.get("/v1/files").json()["data"] == []


def test_bad_file_is_refused_and_not_kept(server, client):
    refused(client.post("/v1/files", files={"file": ("a.pdf", b"%PDF- torn")}), 400, "a.pdf")
    refused(client.post("/v1/files", files={"file": ("a.txt", b"plain")}), 400, "a.txt")
    refused(client.post("/v1/files", files={"file": ("a.pdf", b"")}), 400, "empty")
    assert server.service.store.num_bytes == 0


def test_store_has_limits_of_files_and_bytes(client):
    for seed in range(3):
        upload(client, png(seed), f"{seed}.png")
    refused(client.post("/v1/files", files={"file": ("d.png", png())}), 413, "3 files")
    noise = Image.effect_noise((250, 250), 90)
    stream = io.BytesIO()
    noise.save(stream, format="PNG")
    for stored in client.get("/v1/files").json()["data"]:
        client.delete(f"/v1/files/{stored['id']}")
    upload(client, stream.getvalue(), "a.png")
    upload(client, stream.getvalue(), "b.png")
    answer = client.post("/v1/files", files={"file": ("c.png", stream.getvalue())})
    refused(answer, 413, "150,000")


def test_uploaded_names_are_no_paths(client):
    for name in ("../../etc/passwd.png", "C:\\x\\passwd.png", "passwd.png"):
        file_id = upload(client, png(), name)
        assert client.get(f"/v1/files/{file_id}").json()["filename"] == "passwd.png"
        client.delete(f"/v1/files/{file_id}")


def test_deep_json_is_refused(client):
    deep = b"[" * 100_000
    answer = client.post(
        "/v1/chat/completions", content=deep, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400


# --- Queue and time --------------------------------------------------------------------------


def test_full_queue_is_503_with_retry_after_and_nobody_else_is_lost():
    model = fake_model("a b c d e f g h", capacity=1, step_s=0.05)
    with live(model, max_queue=2) as server:
        places = 1 + 2 + 2  # in the engine, read ahead, waiting
        with ThreadPoolExecutor(12) as pool, server.client() as client:
            answers = list(pool.map(lambda _: ask(client), range(12)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {200, 503}
        assert statuses.count(200) >= places
        for answer in answers:
            if answer.status_code == 503:
                refused(answer, 503, "try again in")
                assert 1 <= int(answer.headers["retry-after"]) <= 120
        assert server.service.admission.num_at_work == 0


def test_question_that_takes_too_long_is_504_and_gives_its_place_back():
    model = fake_model("word " * 1000, capacity=1, step_s=0.02)
    with live(model, request_timeout_s=0.5) as server, server.client() as client:
        refused(ask(client), 504, "0.5 seconds")
        wait_until(lambda: server.service.worker.num_running == 0)
        with client.stream("POST", "/v1/chat/completions", json=question(stream=True)) as answer:
            last = events(answer.iter_lines())[-1]
        assert '"code": "timeout"' in last
        wait_until(lambda: server.service.worker.num_running == 0)
        assert server.service.admission.num_at_work == 0


def test_silence_is_filled_with_comments():
    model = fake_model("a b", capacity=1, step_s=0.3)
    with live(model, keep_alive_s=0.05) as server, server.client() as client:
        with client.stream("POST", "/v1/chat/completions", json=question(stream=True)) as answer:
            lines = list(answer.iter_lines())
        assert ": still at work" in lines
        assert events(iter(lines))[-1] == "[DONE]"
        assert ask(client).json()["choices"][0]["message"]["content"] == "a b"


# --- Clients that go away or do not read -----------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_client_that_leaves_frees_its_place(stream):
    model = fake_model("word " * 5000, capacity=1, step_s=0.01)
    with live(model) as server:
        client, body = server.client(), question(stream=stream)
        if stream:
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                assert next(answer.iter_lines()).startswith("data:")
                assert server.service.worker.num_running == 1
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/chat/completions", json=body, timeout=0.4)
        client.close()
        wait_until(lambda: server.service.worker.num_running == 0)
        wait_until(lambda: server.service.admission.num_at_work == 0)
        with server.client() as other:
            assert 'leopard_chats_total{end="gone"} 1.0' in other.get("/metrics").text


def test_client_that_leaves_the_queue_is_forgotten():
    model = fake_model("word " * 60, capacity=1, step_s=0.01)
    with live(model) as server, ThreadPoolExecutor(3) as pool, server.client() as client:
        running = [pool.submit(ask, client) for _ in range(3)]
        wait_until(lambda: server.service.admission.num_at_work == 3)
        with server.client() as other, pytest.raises(httpx.ReadTimeout):
            other.post("/v1/chat/completions", json=question(), timeout=0.2)
        wait_until(lambda: server.service.admission.num_waiting == 0)
        assert all(job.result().status_code == 200 for job in running)


def test_client_that_does_not_read_is_given_up_and_delays_nobody():
    # More text than the buffers of both sides hold.
    model = fake_model(" ".join(["x" * 20_000] * 1500), capacity=2)
    with live(model, send_timeout_s=0.5) as server:
        host, port = server.url.removeprefix("http://").split(":")
        body = httpx.Request("POST", server.url, json=question(stream=True, max_tokens=4000)).read()
        with socket.create_connection((host, int(port))) as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            lazy.sendall(head.encode() + body)
            wait_until(lambda: server.service.admission.num_at_work == 1)
            with server.client() as client:
                start = time.monotonic()
                assert ask(client, max_tokens=1).status_code == 200
                assert time.monotonic() - start < 5
            wait_until(lambda: server.service.admission.num_at_work == 0)


# --- Start and end ---------------------------------------------------------------------------


def test_running_answers_end_within_the_grace():
    model = fake_model("word " * 40, capacity=2, step_s=0.02)
    with live(model, shutdown_grace_s=10) as server, ThreadPoolExecutor(1) as pool:
        client = server.client()
        running = pool.submit(ask, client)
        wait_until(lambda: server.service.worker.num_running == 1)
        server.server.should_exit = True
        assert running.result().status_code == 200
        client.close()
        server.thread.join(10)
        assert not server.thread.is_alive()


def test_answers_over_the_grace_are_ended():
    model = fake_model("word " * 100_000, capacity=1, step_s=0.02)
    with live(model, shutdown_grace_s=0, max_new_tokens=100_000) as server:
        client, pool = server.client(), ThreadPoolExecutor(1)
        running = pool.submit(ask, client, max_tokens=100_000)
        wait_until(lambda: server.service.worker.num_running == 1)
        server.server.should_exit = True
        server.thread.join(15)
        assert not server.thread.is_alive()
        assert running.exception() is not None or running.result().status_code >= 500
        client.close()


def test_failing_engine_fails_its_requests_and_goes_on(monkeypatch):
    def answer(request):
        if "break" in str(request.messages):
            raise RuntimeError("a secret of the engine")
        return "fine"

    with live(fake_model(answer)) as server, server.client() as client:
        error = client.post("/v1/chat/completions", json=question("break"))
        refused(error, 500, "its log says more")
        assert "secret" not in error.text
        assert ask(client).status_code == 200
        assert client.get("/health").json()["status"] == "ok"


def test_pages_are_drawn_once_for_several_questions(monkeypatch):
    import leopard.serving.pages as module

    drawn = []
    real = module.iter_pages

    def counting(*args, **kwargs):
        drawn.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(module, "iter_pages", counting)
    model = fake_model()
    with live(model) as server, server.client() as client:
        part = file_part(upload(client, pdf(1, 2)))
        for _ in range(3):
            assert ask(client, part).status_code == 200
        assert len(drawn) == 1
        first, second, _ = [request.images for request in model.generator.requests]
        assert all(one is other for one, other in zip(first, second, strict=True))
        client.get("/v1/pages", params={"file": part["file"]["file_id"]})
        assert len(drawn) == 1
        assert server.service.pages.num_kept_bytes > 0


def test_pages_kept_have_a_limit():
    with live(page_cache_bytes=MB // 8) as server, server.client() as client:
        for seed in range(5):
            assert ask(client, image_part(seed)).status_code == 200
            assert server.service.pages.num_kept_bytes <= MB // 8
        assert server.service.pages.num_kept_bytes > 0


def test_page_pictures_are_of_the_files():
    with live() as server, server.client() as client:
        file_id = upload(client, pdf(1, 2), "two.pdf")
        view = client.get("/v1/pages", params={"file": file_id}).json()
        assert [page["number"] for page in view["pages"]] == [1, 2]
        assert abs(sum(page["share"] for page in view["pages"]) - 1) < 1e-9
        assert view["crops"] == sum(page["crops"] for page in view["pages"])
        picture = client.get("/v1/pages/2", params={"file": file_id})
        assert Image.open(io.BytesIO(picture.content)).format == "WEBP"
        assert client.get("/v1/pages/3", params={"file": file_id}).status_code == 404
        assert client.get("/v1/pages", params={"file": "file-x"}).status_code == 404
