import subprocess
import sys

from leopard.inference.fake import FakeGenerator
from leopard.schema.generation import GenerationRequest, Generator, SamplingOptions
from leopard.schema.messages import ImagePart, Message
from tests.conftest import draw_page


def request(question="How many?", **sampling):
    return GenerationRequest(
        messages=(Message.of("user", ImagePart(), question),),
        images=(draw_page(1),),
        sampling=SamplingOptions(**sampling),
    )


def test_fake_repeats_the_question_and_counts_images():
    fake: Generator = FakeGenerator()
    assert fake.generate([request()])[0].text == "[fake] How many? (1 images)"


def test_fake_answers_from_a_table_a_text_or_a_function():
    assert FakeGenerator({"How many?": "3"}).generate([request()])[0].text == "3"
    assert FakeGenerator("always").generate([request("x")])[0].text == "always"
    answers = FakeGenerator(lambda asked: str(len(asked.images)))
    assert answers.generate([request()])[0].text == "1"


def test_fake_stream_joins_to_its_answer_and_keeps_the_limit():
    fake = FakeGenerator("one two three four")
    done = fake.generate([request(max_new_tokens=2)])[0]
    assert (done.text, done.finish_reason) == ("one two", "length")
    assert "".join(fake.stream(request())) == "one two three four"
    assert len(fake.requests) == 2


def test_fake_needs_no_torch():
    code = "import sys, leopard.inference.fake; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
