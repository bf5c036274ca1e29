"""Images and text to inputs of Leopard-Idefics2, as the published evaluation prepares them.

One encoder input per image: longest side 980 px, no tiles, no splitting, padded to the largest
image of the sample. Knows nothing of tile budgets; those belong to the other variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import BatchFeature, PreTrainedTokenizerFast
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.models.idefics2.image_processing_pil_idefics2 import Idefics2ImageProcessorPil
from transformers.models.idefics2.processing_idefics2 import Idefics2Processor

from leopard.errors import PromptError
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import Message

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST_EDGE = 980
"""Longest side of an image in pixels, as in the published evaluation."""


CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].capitalize() }}"
    "{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}<image>{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""The chat format of idefics2-8b: role and colon, one turn a line."""


def fit_size(size: ImageSize, longest_edge: int = LONGEST_EDGE) -> ImageSize:
    """Size that an image is resized to: shrunk to the longest edge, never enlarged.

    Args:
        size: Size of the image.
        longest_edge: Most pixels along its longer side.

    Returns:
        The shorter side is cut to a whole number, at least 1.
    """
    aspect = size.width / size.height
    width, height = size.width, size.height
    if width >= height and width > longest_edge:
        width, height = longest_edge, int(longest_edge / aspect)
    elif height > width and height > longest_edge:
        width, height = int(longest_edge * aspect), longest_edge
    return ImageSize(max(width, 1), max(height, 1))


class LeopardIdefics2ImageProcessor(Idefics2ImageProcessorPil):
    """Idefics2 image processing without a least side, which would distort thin pages."""

    do_image_splitting = False
    size = {"shortest_edge": 0, "longest_edge": LONGEST_EDGE}  # noqa: RUF012 - transformers' form

    def resize(
        self,
        image: np.ndarray,
        size: SizeDict,
        resample: PILImageResampling = PILImageResampling.BILINEAR,
        **kwargs: Any,
    ) -> np.ndarray:
        """Resize one image, (3, height, width), to fit `size.longest_edge`."""
        height, width = image.shape[-2:]
        target = fit_size(ImageSize(width, height), size.longest_edge or LONGEST_EDGE)
        # The parent's parent knows plain sizes; the parent refuses a shortest edge of 0.
        return super(Idefics2ImageProcessorPil, self).resize(  # type: ignore[no-any-return]
            image, SizeDict(height=target.height, width=target.width), resample=resample, **kwargs
        )


class LeopardIdefics2Processor(Idefics2Processor):
    """Text with image tags and images to model inputs, as releases 4.43 and 4.44 made them.

    Later releases put a space between an image and a word that touches it.
    """

    def expand(self, text: str) -> str:
        """Replace each image tag by its placeholders; neighbours share one boundary token."""
        fake, image = self.fake_image_token, self.image_token
        block = f"{fake}{image * self.image_seq_len}{fake}"
        return text.replace(image, block).replace(fake + fake, fake)

    def __call__(
        self,
        images: Sequence[Image] | None = None,
        text: str | None = None,
        **_: Any,
    ) -> BatchFeature:
        """Make the inputs of one prompt.

        Args:
            images: All images of the prompt, in order.
            text: The prompt with one image tag per image.

        Returns:
            `input_ids` and `attention_mask` (1, length), and with images `pixel_values`
            (1, num_images, 3, height, width) and `pixel_attention_mask` (1, num_images, height,
            width).

        Raises:
            PromptError: If tags and images differ in number.
        """
        if not isinstance(text, str):
            raise PromptError(f"Leopard-Idefics2 takes one prompt as a string, got {type(text)}")
        pictures = list(images or ())
        tags = text.count(self.image_token)
        if tags != len(pictures):
            raise PromptError(
                f"{tags} image tags in the prompt but {len(pictures)} images; give one tag each"
            )
        inputs = dict(self.tokenizer(self.expand(text), return_tensors="pt"))
        inputs.pop("token_type_ids", None)
        if pictures:
            inputs.update(self.image_processor([pictures], return_tensors="pt"))
        return BatchFeature(inputs)

    def render(self, messages: Sequence[Message]) -> str:
        """Chat text of a conversation, ready for the answer; special tokens in text are defused."""
        records = []
        for message in messages:
            record = message.to_dict()
            for part in record["content"]:
                if part["type"] == "text":
                    part["text"] = self._defuse(part["text"])
            records.append(record)
        return str(self.apply_chat_template(records, add_generation_prompt=True, tokenize=False))

    def _defuse(self, text: str) -> str:
        for token in (*self.tokenizer.all_special_tokens, "<end_of_utterance>", self.image_token):
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text


def load_idefics2_processor(folder: str, **kwargs: Any) -> LeopardIdefics2Processor:
    """Load tokenizer and image settings of a Leopard-Idefics2 checkpoint.

    Args:
        folder: Folder or hub name.
        **kwargs: Passed to transformers, for example `revision` or `local_files_only`.

    Returns:
        A processor with the published evaluation's image settings, whatever the folder says.
    """
    # `tokenizer.json` as it is: the Auto class would rebuild it from the model's kind.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, **kwargs)
    images = LeopardIdefics2ImageProcessor.from_pretrained(
        folder,
        size={"shortest_edge": 0, "longest_edge": LONGEST_EDGE},
        do_image_splitting=False,
        **kwargs,
    )
    return LeopardIdefics2Processor(images, tokenizer, chat_template=CHAT_TEMPLATE)
