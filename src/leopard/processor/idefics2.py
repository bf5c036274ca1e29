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

from leopard.errors import ContextLengthError, PromptError
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import Message, count_images
from leopard.schema.pixels import to_rgb

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

    def render(self, messages: Sequence[Message], *, closed: bool = False) -> str:
        """Chat text of a conversation; special tokens in text are defused.

        Args:
            messages: Turns in order.
            closed: Whether it ends with the last turn, rather than ready for the answer.
        """
        records = []
        for message in messages:
            record = message.to_dict()
            for part in record["content"]:
                if part["type"] == "text":
                    part["text"] = self._defuse(part["text"])
            records.append(record)
        return str(
            self.apply_chat_template(records, add_generation_prompt=not closed, tokenize=False)
        )

    def encode_turns(self, messages: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """Token ids of a finished conversation, and which of them the model should have written.

        What an assistant turn says counts, and the token that ends it; in the published answer mask
        these are the same tokens.
        """
        text = self.expand(self.render(messages, closed=True))
        spans = []
        for index, message in enumerate(messages):
            if message.role == "assistant":
                opened = self.expand(self.render(messages[:index]))
                ended = self.expand(self.render(messages[: index + 1], closed=True))
                spans.append((len(opened), len(ended) - 1))  # the line break is not learnt
        encoded = self.tokenizer(text, return_offsets_mapping=True)
        mask = [
            end > start and any(first <= start and end <= last for first, last in spans)
            for start, end in encoded["offset_mapping"]
        ]
        return list(encoded["input_ids"]), mask

    def encode_for_training(
        self, messages: Sequence[Message], images: Sequence[Image], max_length: int | None = None
    ) -> dict[str, Any]:
        """One training example, in the format of inference; nothing is cut or dropped.

        Args:
            messages: Turns; the assistant's are learnt.
            images: Images in prompt order.
            max_length: Most tokens of the expanded example.

        Returns:
            Tensors `input_ids`, `labels`, `loss_mask`, all (length,); `num_crops`, a one for each
            image; and with images `pixel_values` (num_images, 3, height, width) and
            `pixel_attention_mask` (num_images, height, width).

        Raises:
            PromptError: If there is no assistant turn, or parts and images do not match.
            ContextLengthError: If it is longer than `max_length`.
        """
        import torch

        if count_images(messages) != len(images):
            raise PromptError(
                f"{count_images(messages)} image parts but {len(images)} images; give one part each"
            )
        ids, mask = self.encode_turns(messages)
        if not any(mask):
            raise PromptError("the conversation has no assistant turn, so nothing can be learnt")
        if max_length is not None and len(ids) > max_length:
            raise ContextLengthError(
                f"the example takes {len(ids)} tokens, more than {max_length}; use fewer images"
            )
        labels = [token if learnt else -100 for token, learnt in zip(ids, mask, strict=True)]
        example = {
            "input_ids": torch.tensor(ids),
            "labels": torch.tensor(labels),
            "loss_mask": torch.tensor(mask),
            "num_crops": torch.ones(len(images), dtype=torch.int64),
        }
        if images:
            pictures = self.image_processor([[to_rgb(i) for i in images]], return_tensors="pt")
            for name in ("pixel_values", "pixel_attention_mask"):
                example[name] = pictures[name][0]
        return example

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
