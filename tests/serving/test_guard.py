import logging
import re
import socket

import pytest

from leopard.errors import ConfigError
from leopard.serving.errors import ApiError
from leopard.serving.keys import ApiKeys, add_key, hash_key
from leopard.serving.remote import RemoteFetcher, is_public
from leopard.serving.settings import ServingSettings
from leopard.serving.store import FileStore
from tests.serving.live import fake_model, file_part, live, png, question, upload

# --- Keys ------------------------------------------------------------------------------------


@pytest.fixture
def keyed(tmp_path):
    path = tmp_path / "keys.txt"
    keys = {name: add_key(path, name) for name in ("ada", "bob")}
    with live(keys=ApiKeys.load(path)) as server:
        yield server, keys, path


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_keys_open_and_others_do_not(keyed):
    server, keys, path = keyed
    with server.client() as client:
        for headers in ({}, bearer("lp-wrong"), {"Authorization": keys["ada"]}, bearer("x y")):
            for url in ("/v1/models", "/v1/files", "/metrics", "/openapi.json", "/v1/nothing"):
                answer = client.get(url, headers=headers)
                assert answer.status_code == 401, url
                assert answer.headers["www-authenticate"] == "Bearer"
        for key in keys.values():
            assert client.get("/v1/models", headers=bearer(key)).status_code == 200
        for url in ("/", "/health", "/static/page.js"):
            assert client.get(url).status_code == 200
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text()
    assert not any(key in text for key in keys.values())
    assert hash_key(keys["ada"]) in text


def test_files_are_seen_by_their_owner_only(keyed):
    server, keys, _ = keyed
    with server.client(headers=bearer(keys["ada"])) as ada:
        file_id = upload(ada, png(), "a.png")
        assert ada.get("/v1/files").json()["data"][0]["id"] == file_id
    with server.client(headers=bearer(keys["bob"])) as bob:
        assert bob.get("/v1/files").json()["data"] == []
        for answer in (
            bob.get(f"/v1/files/{file_id}"),
            bob.get(f"/v1/files/{file_id}/content"),
            bob.delete(f"/v1/files/{file_id}"),
            bob.get("/v1/pages", params={"file": file_id}),
            bob.post("/v1/chat/completions", json=question("x", file_part(file_id))),
        ):
            assert answer.status_code == 404


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no key"),
        ("ada", "line 1"),
        ("ada " + "0" * 63, "line 1"),
        ("# note\nada " + "0" * 64 + "\nada " + "1" * 64, "line 3"),
    ],
)
def test_bad_key_files_are_refused(text, message, tmp_path):
    path = tmp_path / "keys.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        ApiKeys.load(path)


def test_key_names_are_checked(tmp_path):
    path = tmp_path / "keys.txt"
    add_key(path, "ada")
    with pytest.raises(ConfigError, match="take another name"):
        add_key(path, "ada")
    with pytest.raises(ConfigError, match="unfit"):
        add_key(path, "a b")
    with pytest.raises(ConfigError, match="cannot be read"):
        ApiKeys.load(tmp_path / "gone.txt")


# --- Host and origin -------------------------------------------------------------------------


def test_names_that_lead_here_by_rebinding_are_refused():
    with live(host_names=("leopard.example",)) as server, server.client() as client:
        port = server.url.rpartition(":")[2]
        for host, status in (
            (f"localhost:{port}", 200),
            ("127.0.0.1", 200),
            ("[::1]:1", 200),
            ("leopard.example", 200),
            ("evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("", 403),
            ("[", 403),
        ):
            assert client.get("/health", headers={"Host": host}).status_code == status, host


def test_pages_of_other_servers_are_refused():
    with live() as server, server.client() as client:
        own = {"Origin": server.url}
        assert client.post("/v1/chat/completions", json=question(), headers=own).status_code == 200
        for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
            answer = client.get("/v1/models", headers={"Origin": origin})
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers


def test_every_answer_has_safe_headers():
    with live() as server, server.client() as client:
        for url in ("/", "/static/page.js", "/v1/models", "/nothing"):
            headers = client.get(url).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]


def test_uploaded_html_is_never_served_as_html():
    with live(office_files=True) as server, server.client() as client:
        file_id = upload(client, png(), "a.html.png")
        answer = client.get(f"/v1/files/{file_id}/content")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].startswith("attachment")


# --- Log -------------------------------------------------------------------------------------

SECRETS = ("Zanzibar", "secretname", "answerword")


@pytest.mark.parametrize("log_content", [False, True])
def test_log_lines_hold_no_content_unless_asked(log_content, caplog):
    caplog.set_level(logging.DEBUG)
    model = fake_model("answerword")
    with live(model, log_content=log_content) as server, server.client() as client:
        file_id = upload(client, png(), "secretname.png")
        body = question("Zanzibar", file_part(file_id))
        client.post("/v1/chat/completions", json=body)
        client.post("/v1/chat/completions", json={**body, "Zanzibar": 1})
        client.get("/v1/files/Zanzibar")
        client.get("/Zanzibar?q=Zanzibar")
        client.post("/v1/files", files={"file": ("secretname.pdf", b"%PDF- torn Zanzibar")})
        assert not any(secret in client.get("/metrics").text for secret in SECRETS)
    ours = [record for record in caplog.records if record.name.startswith(("leopard", "uvicorn"))]
    text = "\n".join(record.getMessage() for record in ours)
    assert "POST /v1/chat/completions 200" in text
    assert "POST /v1/chat/completions 400" in text
    assert ("Zanzibar" in text) is log_content
    assert ("answerword" in text) is log_content
    assert "secretname" not in text


# --- Addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        *[
            (address, False)
            for address in (
                *("127.0.0.1", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254"),
                *("0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1"),
                *("::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1"),
                *("::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1"),
            )
        ],
        ("::ffff:93.184.216.34", True),
    ],
)
def test_private_ranges_are_known(address, public):
    assert is_public(address) is public


def fetcher(*addresses, hosts=("pics.example",)):
    def resolver(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    return RemoteFetcher(ServingSettings(fetch_hosts=hosts), resolver)


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/a.png",
        "http://pics.example.other.example/a.png",
        "http://other.example@pics.example/a.png",
        "http://pics.example@other.example/a.png",
        "file://pics.example/etc/passwd",
        "gopher://pics.example/",
        "http://pics.example:99999/",
        "http://pics.example/a b",
        "http://[pics.example/",
    ],
)
def test_addresses_that_are_not_allowed_are_refused(url):
    with pytest.raises(ApiError) as caught:
        fetcher("93.184.216.34").fetch(url)
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1",), ("93.184.216.34", "10.0.0.1"), ("::ffff:127.0.0.1",), ()]
)
def test_allowed_host_at_a_private_address_is_refused(addresses):
    with pytest.raises(ApiError, match="private address"):
        fetcher(*addresses).fetch("http://pics.example/a.png")


def test_allowed_host_is_fetched_from_the_address_that_was_checked(monkeypatch):
    import leopard.serving.remote as module

    with live() as server:
        port = int(server.url.rpartition(":")[2])
        went_to = []
        real = socket.create_connection

        def to_us(address, *rest):
            went_to.append(address)
            return real(("127.0.0.1", port), *rest)

        monkeypatch.setattr(module.socket, "create_connection", to_us)
        fetch = fetcher("93.184.216.34", hosts=("localhost",)).fetch
        assert b'"model":"fake"' in fetch("http://localhost/health")
        assert went_to == [("93.184.216.34", 80)]
        with pytest.raises(ApiError, match="answered 404"):
            fetch("http://localhost/nothing")


# --- Files -----------------------------------------------------------------------------------


def test_files_end_with_their_time_and_with_the_store(tmp_path):
    import io

    now = [1000.0]
    store = FileStore(ServingSettings(file_lifetime_s=60), clock=lambda: now[0])
    content = store.save(io.BytesIO(png()), "a.png")
    file = store.add(content, owner="", purpose="vision", num_pages=1)
    assert store.get(file.file_id, owner="") is file
    now[0] += 61
    with pytest.raises(ApiError, match="expired"):
        store.get(file.file_id, owner="")
    assert not file.path.exists()
    kept = store.save(io.BytesIO(png()), "b.png")
    store.close()
    assert kept.path is not None
    assert not kept.path.parent.exists()


def test_ids_cannot_be_guessed():
    import io

    store = FileStore(ServingSettings())
    names = set()
    for _ in range(5):
        content = store.save(io.BytesIO(b"x"), "a")
        names.add(store.add(content, owner="", purpose="vision", num_pages=1).file_id)
    assert len(names) == 5
    assert all(re.fullmatch(r"file-[0-9a-f]{24}", name) for name in names)
    store.close()
