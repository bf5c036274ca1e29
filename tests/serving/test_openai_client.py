"""The official client against a real server with the tiny model."""

import openai
import pytest

from leopard import Leopard
from leopard.cli._served import planner_of
from leopard.schema.generation import SamplingOptions
from leopard.serving.service import ServedModel
from tests.conftest import draw_page
from tests.serving.live import data_url, image_part, live, pdf, png


@pytest.fixture(scope="module")
def leopard(tiny_model_folder):
    return Leopard.from_pretrained(tiny_model_folder)


@pytest.fixture(scope="module")
def server(leopard):
    model = ServedModel(
        generator=leopard.generator,
        load_options=leopard.load_options(),
        planner=planner_of(leopard.processor),
    )
    with live(model) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with server.openai() as found:
        yield found


def chat(client, text, *parts, **fields):
    content = [*parts, {"type": "text", "text": text}]
    return client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": content}],
        **{"max_tokens": 12, **fields},
    )


def test_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "leopard"
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt'"):
        client.models.retrieve("gpt")


def test_answer_to_several_images_is_that_of_python(client, leopard):
    done = chat(client, "Compare.", image_part(1), image_part(2))
    expected = leopard.ask(
        [draw_page(1), draw_page(2)], "Compare.", sampling=SamplingOptions(max_new_tokens=12)
    )
    assert done.choices[0].message.content == expected.text
    assert done.choices[0].finish_reason == expected.finish_reason == "length"
    assert done.usage.prompt_tokens == expected.usage.prompt_tokens
    assert done.usage.completion_tokens == 12
    assert done.usage.total_tokens == done.usage.prompt_tokens + 12
    details = done.usage.prompt_tokens_details.model_dump()
    assert details["visual_tokens"] == expected.usage.visual_tokens
    assert details["crops"] == expected.usage.crops


def test_pdf_part_and_uploaded_pdf_answer_as_python_does(client, leopard, tmp_path):
    path = tmp_path / "three.pdf"
    path.write_bytes(pdf(1, 2, 3))
    expected = leopard.ask([path], "Which?", sampling=SamplingOptions(max_new_tokens=12)).text
    inline = {
        "type": "file",
        "file": {
            "filename": "three.pdf",
            "file_data": data_url(path.read_bytes(), "application/pdf"),
        },
    }
    assert chat(client, "Which?", inline).choices[0].message.content == expected
    with path.open("rb") as stream:
        stored = client.files.create(file=stream, purpose="user_data")
    part = {"type": "file", "file": {"file_id": stored.id}}
    for _ in range(2):
        assert chat(client, "Which?", part).choices[0].message.content == expected


def test_pages_can_be_chosen(client, leopard, tmp_path):
    path = tmp_path / "three.pdf"
    path.write_bytes(pdf(1, 2, 3))
    stored = client.files.create(file=path, purpose="user_data")
    part = {"type": "file", "file": {"file_id": stored.id}}
    done = chat(client, "Which?", part, extra_body={"pages": "2"})
    expected = leopard.ask([path], "Which?", pages="2", sampling=SamplingOptions(max_new_tokens=12))
    assert done.choices[0].message.content == expected.text
    assert done.usage.prompt_tokens == expected.usage.prompt_tokens


def test_stream_joins_to_the_answer(client):
    whole = chat(client, "Compare.", image_part(1), max_tokens=30)
    chunks = list(
        chat(
            client,
            "Compare.",
            image_part(1),
            max_tokens=30,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert len([text for text in texts if text]) > 2
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_stop_text_ends_the_answer(client):
    whole = chat(client, "Compare.", image_part(1), max_tokens=30).choices[0].message.content
    stop = whole[len(whole) // 2 :][:2]
    for given in (stop, ["never there", stop]):
        done = chat(client, "Compare.", image_part(1), max_tokens=30, stop=given).choices[0]
        assert done.message.content == whole[: whole.index(stop)].rstrip()
        assert done.finish_reason == "stop"


def test_sampling_follows_the_seed(client):
    def text(seed):
        done = chat(client, "Go", image_part(1), temperature=1.5, seed=seed)
        return done.choices[0].message.content

    assert text(1) == text(1)
    assert len({text(seed) for seed in range(4)}) > 1


def test_earlier_turns_are_part_of_the_prompt(client):
    def prompt_tokens(*turns):
        done = client.chat.completions.create(
            model="tiny",
            max_completion_tokens=1,
            messages=[{"role": role, "content": text} for role, text in turns],
        )
        return done.usage.prompt_tokens

    alone = prompt_tokens(("user", "Why?"))
    with_system = prompt_tokens(("system", "Be brief."), ("user", "Why?"))
    longer = prompt_tokens(("user", "Who?"), ("assistant", "Nobody."), ("user", "Why?"))
    assert alone < with_system
    assert alone < longer


def test_files_are_listed_page_by_page_fetched_and_deleted(server):
    with server.openai() as client:
        for stored in client.files.list():
            client.files.delete(stored.id)
        ids = [
            client.files.create(file=(f"{n}.png", png(n)), purpose="vision").id for n in range(5)
        ]
        assert [stored.id for stored in client.files.list()] == ids[::-1]
        assert [stored.id for stored in client.files.list(limit=2)] == ids[::-1]
        assert [stored.id for stored in client.files.list(order="asc", limit=2)] == ids
        assert list(client.files.list(purpose="assistants")) == []
        kept = client.files.retrieve(ids[3])
        assert (kept.filename, kept.bytes, kept.purpose) == ("3.png", len(png(3)), "vision")
        assert client.files.content(ids[3]).content == png(3)
        assert client.files.delete(ids[3]).deleted
        for call in (client.files.retrieve, client.files.delete, client.files.content):
            with pytest.raises(openai.NotFoundError, match="upload it again"):
                call(ids[3])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "gpt-4o"}, "there is no model 'gpt-4o' here; use 'tiny'"),
        ({"max_tokens": 10_000}, "10000 new tokens are asked for and the limit is 4096"),
        ({"max_tokens": 2, "max_completion_tokens": 3}, "give one of them"),
        ({"temperature": 3}, "temperature"),
        ({"n": 2}, "n:"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"extra_body": {"pages": "x"}}, "page"),
        ({"stop": [""]}, "stop"),
    ],
)
def test_what_cannot_be_done_is_said(fields, message, client):
    content = [image_part(1), {"type": "text", "text": "Hm?"}]
    body = {"model": "tiny", "messages": [{"role": "user", "content": content}], **fields}
    with pytest.raises((openai.BadRequestError, openai.NotFoundError)) as caught:
        client.chat.completions.create(**body)
    assert message in str(caught.value)


def test_more_images_than_crops_are_refused_before_the_stream_begins(client):
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="13 images but max_crops is 12"):
            chat(client, "Hm?", *[image_part(1)] * 13, stream=stream)


def test_prompt_over_the_context_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="more than the limit"):
        chat(client, "word " * 5000)


def test_questions_at_once_get_their_own_answers(server, client, leopard):
    from concurrent.futures import ThreadPoolExecutor

    def expected(seed):
        sampling = SamplingOptions(max_new_tokens=12)
        return leopard.ask([draw_page(seed)], f"Question {seed}?", sampling=sampling).text

    def given(seed):
        return chat(client, f"Question {seed}?", image_part(seed)).choices[0].message.content

    seeds = [seed % 6 for seed in range(18)]
    with ThreadPoolExecutor(18) as pool:
        answers = list(pool.map(given, seeds))
    server.service.worker.close()  # the model is used by this thread from here on
    assert answers == [expected(seed) for seed in seeds]
    assert len(set(answers)) > 1
