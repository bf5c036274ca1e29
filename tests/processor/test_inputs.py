import base64
import io

import numpy as np
import PIL.Image
import pytest

from leopard.errors import DocumentFormatError, PromptError
from leopard.processor.inputs import read_conversations, read_image
from leopard.processor.prompt import RenderedPrompt
from leopard.schema.messages import ImagePart, Message

RED, BLUE = (PIL.Image.new("RGB", (4, 3), colour) for colour in ("red", "blue"))


def data_url(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture
def red_file(tmp_path):
    path = tmp_path / "red.png"
    RED.save(path)
    return path


def test_images_are_read_from_every_form(red_file):
    forms = [RED, np.asarray(RED), str(red_file), red_file, data_url(RED), {"url": data_url(RED)}]
    for form in forms:
        assert np.array_equal(np.asarray(read_image(form)), np.asarray(RED))
    assert read_image(np.zeros((2, 5), np.uint8)).size == (5, 2)


@pytest.mark.parametrize("image", ["https://a.b/c.png", 7, None, np.zeros((2, 2), float)])
def test_what_is_no_image_and_what_is_on_the_network_is_refused(image):
    with pytest.raises(PromptError, match="is not understood"):
        read_image(image)


@pytest.mark.parametrize("image", ["missing.png", "data:image/png;base64,AAAA", "data:,x!"])
def test_damaged_images_are_named(image):
    with pytest.raises(DocumentFormatError):
        read_image(image)


def test_a_string_with_images_is_one_user_turn():
    (one,) = read_conversations("<image> what", [RED, BLUE])
    assert one.messages == (Message.of("user", ImagePart(), " ", ImagePart(), " what"),)
    assert one.images == (RED, BLUE)


def test_one_image_may_stand_alone():
    (one,) = read_conversations("q", RED)
    assert one.images == (RED,)


def test_images_without_text_have_no_messages():
    (one,) = read_conversations(None, [RED])
    assert one.messages == ()
    assert one.images == (RED,)


def test_one_message_is_a_conversation():
    (one,) = read_conversations(Message.of("user", "q"), None)
    assert one.messages == (Message.of("user", "q"),)
    (same,) = read_conversations({"role": "user", "content": "q"}, None)
    assert same == one


def test_messages_carry_their_images(red_file):
    message = {
        "role": "user",
        "content": [
            {"type": "image", "image": BLUE},
            {"type": "text", "text": "and"},
            {"type": "image_url", "image_url": {"url": data_url(RED)}},
            {"type": "image", "path": str(red_file)},
        ],
    }
    (one,) = read_conversations([message], None)
    assert [image.getpixel((0, 0))[:3] for image in one.images] == [
        (0, 0, 255), (255, 0, 0), (255, 0, 0),
    ]  # fmt: skip
    assert one.messages[0].num_images == 3


def test_images_from_two_places_are_refused():
    message = {"role": "user", "content": [{"type": "image", "image": BLUE}]}
    with pytest.raises(PromptError, match="both in the messages and in the images argument"):
        read_conversations([message], [RED])
    assert len(read_conversations([message], [])) == 1


def test_a_batch_takes_one_list_of_images_per_prompt():
    first, second, third = read_conversations(["a", "b", "c"], [[RED], None, [RED, BLUE]])
    assert [len(item.images) for item in (first, second, third)] == [1, 0, 2]
    assert not any(item.images for item in read_conversations(["a", "b"], None))


def test_a_flat_list_is_shared_by_the_places_of_a_batch():
    messages = [Message.of("user", ImagePart(), ImagePart())]
    first, second = read_conversations(["<image> a", messages], [RED, BLUE, RED])
    assert first.images == (RED,)
    assert second.images == (BLUE, RED)


@pytest.mark.parametrize("images", [[RED], [[RED], [RED], [RED]]])
def test_images_that_cannot_be_shared_out_are_refused(images):
    with pytest.raises(PromptError, match="one list of images for each prompt"):
        read_conversations(["a", "b"], images)


@pytest.mark.parametrize("text", [7, [], {}])
def test_what_is_no_prompt_is_refused(text):
    with pytest.raises(PromptError):
        read_conversations(text, None)


def test_only_prompts_known_to_be_rendered_are_trusted():
    (plain,) = read_conversations("<|eot_id|>", None)
    assert plain.rendered is None
    (asked,) = read_conversations("<|eot_id|>", None, rendered=True)
    (own,) = read_conversations(RenderedPrompt("<|eot_id|>"), None)
    assert asked.rendered == own.rendered == "<|eot_id|>"


@pytest.mark.parametrize("kind", ["EPS", "PPM"])
def test_pictures_of_other_kinds_are_not_opened(kind, tmp_path):
    file = tmp_path / "x.png"
    PIL.Image.new("RGB", (8, 8)).save(file, kind)
    with pytest.raises(DocumentFormatError, match="cannot be read as an image"):
        read_image(file)
