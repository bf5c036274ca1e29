"""The processor of Leopard: images and messages to model inputs, in transformers' shape.

Owns the promise that placeholders and visual tokens agree in number. Puts together plan, crops and
prompt; knows nothing of weights or files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers.processing_utils import MultiModalData, ProcessorMixin

from leopard.config import build
from leopard.errors import PromptError
from leopard.processor.batch import LeopardInputs, PreparedPrompt
from leopard.processor.crops import CropPlan, plan_crops, stack_crops, to_rgb
from leopard.processor.inputs import Conversation, read_conversations
from leopard.processor.limits import check_length, kept_images
from leopard.processor.loading import (
    SETTINGS_FILE,
    image_id_of,
    load_tokenizer,
    read_json,
    settings_from_config,
    stored_settings,
)
from leopard.processor.policies import Content
from leopard.processor.prompt import EncodedPrompt, PromptBuilder, keep_images, keep_rendered_images
from leopard.processor.settings import CallOptions, ProcessorSettings
from leopard.processor.tokens import SpecialTokens, resolve_tokens
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import Message

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


class LeopardProcessor(ProcessorMixin):
    """Makes the inputs of `LeopardForConditionalGeneration`.

    Example:
        >>> processor = LeopardProcessor.from_pretrained(folder)  # doctest: +SKIP
        >>> inputs = processor("<image> What is the total?", images=[page])  # doctest: +SKIP
        >>> model.generate(**inputs)  # doctest: +SKIP
    """

    def __init__(
        self,
        tokenizer: Any,
        settings: ProcessorSettings | None = None,
        *,
        config_image_id: int | None = None,
    ) -> None:
        """Put a processor together.

        Args:
            tokenizer: A fast tokenizer of transformers with LLaMA-3 style special tokens.
            settings: What is saved; those of the published model by default.
            config_image_id: Image token id in the model's configuration, to be checked.

        Raises:
            CheckpointError: If the tokenizer lacks a token or contradicts the configuration.
        """
        super().__init__(tokenizer)
        settings = settings or ProcessorSettings()
        self._tokens = resolve_tokens(
            tokenizer,
            settings.tokens,
            config_image_id=config_image_id,
            embedding_rows=settings.embedding_rows,
        )
        self.settings = settings.model_copy(update={"tokens": self._tokens.names})
        self._builder = PromptBuilder(
            tokens=self._tokens,
            layout=self.settings.image_layout,
            visual_tokens_per_crop=self.settings.geometry.visual_tokens_per_crop,
        )
        self.chat_template = self._builder.chat_template()

    # --- Loading and saving ------------------------------------------------------------------

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, **options: Any
    ) -> LeopardProcessor:
        """Load from a folder or by hub name.

        Folders that this class saved hold all settings. In any other the tokenizer and
        `config.json` settle the tokens and the crop geometry, and the rest is as published.

        Args:
            pretrained_model_name_or_path: Folder, or name on the hub (needs the network).
            **options: Any setting of `ProcessorSettings`, to replace the stored one;
                `image_token` names the placeholder; and the usual hub options.

        Raises:
            CheckpointError: If files are missing or contradict each other.
            ConfigError: If a setting is unknown or outside its range.
        """
        name = str(pretrained_model_name_or_path)
        hub = {key: options.pop(key, None) for key in _HUB_OPTIONS}
        hub = {key: value for key, value in hub.items() if value is not None}
        if options.pop("_from_auto", False):
            # Auto classes and pipelines hand on what they were given for models, too.
            known = {*ProcessorSettings.model_fields, "image_token"}
            options = {key: value for key, value in options.items() if key in known}
        config = read_json(name, "config.json", hub)
        values = {**settings_from_config(config), **stored_settings(name, hub)}
        if (image_token := options.pop("image_token", None)) is not None:
            values["tokens"] = {**values.get("tokens", {}), "image": image_token}
        settings = build(ProcessorSettings, {**values, **options}, origin=f"{name}/{SETTINGS_FILE}")
        return cls(load_tokenizer(name, hub), settings, config_image_id=image_id_of(config, name))

    def save_pretrained(  # type: ignore[override]
        self, save_directory: str | Path, **_: Any
    ) -> list[str]:
        """Save tokenizer, settings and chat template; returns the files besides the tokenizer's."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.save_pretrained(str(folder))
        settings = folder / SETTINGS_FILE
        settings.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        template = folder / "chat_template.jinja"
        template.write_text(str(self.chat_template), encoding="utf-8")
        return [str(settings), str(template)]

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, with the class that reads them."""
        return {"processor_class": type(self).__name__, **self.settings.model_dump(mode="json")}

    def with_settings(self, **changes: Any) -> LeopardProcessor:
        """A processor with the same tokenizer and some other settings.

        Raises:
            ConfigError: If a setting is unknown or outside its range.
        """
        values = {**self.settings.model_dump(), **changes}
        return LeopardProcessor(self.tokenizer, build(ProcessorSettings, values))

    # --- What others ask of a processor ------------------------------------------------------

    @property
    def tokens(self) -> SpecialTokens:
        """Special tokens with their ids."""
        return self._tokens

    @property
    def image_token(self) -> str:
        """Text of the placeholder; one stands for a whole image in a rendered prompt."""
        return self._tokens.image

    @property
    def image_token_id(self) -> int:
        """Id of the placeholder; one stands for each visual token in `input_ids`."""
        return self._tokens.image_id

    @property
    def image_token_ids(self) -> list[int | None]:
        """All ids that stand for visual tokens."""
        return [self.image_token_id]

    @property
    def pad_token_id(self) -> int:
        """Id that padding takes; always one with an embedding."""
        return self._tokens.pad_id

    @property
    def prompt_builder(self) -> PromptBuilder:
        """The chat format with this processor's layout."""
        return self._builder

    @property
    def model_input_names(self) -> list[str]:
        """Names of the tensors that the model takes."""
        return ["input_ids", "attention_mask", "pixel_values", "grids"]

    def count_visual_tokens(self, sizes: Sequence[ImageSize], **changes: Any) -> int:
        """Prompt positions that images of these sizes take, tags and text not counted.

        Args:
            sizes: Image sizes in pixels, in prompt order.
            **changes: `max_crops` or `policy` for this call.

        Raises:
            BudgetError: If there are more images than `max_crops`.
        """
        return self.plan(sizes, **changes).visual_tokens

    def _get_num_multimodal_tokens(
        self, image_sizes: Sequence[tuple[int, int]] | None = None, **_: Any
    ) -> MultiModalData:
        """What vLLM asks: tokens and crops of each image. Sizes are (height, width) here.

        The sizes are taken as the images of one prompt, because they share its budget.
        """
        if image_sizes is None:
            return MultiModalData()
        plan = self.plan([ImageSize(int(width), int(height)) for height, width in image_sizes])
        return MultiModalData(
            num_image_tokens=list(plan.visual_tokens_per_image),
            num_image_patches=list(plan.crops_per_image),
        )

    # --- Plans and pixels --------------------------------------------------------------------

    def plan(
        self,
        sizes: Sequence[ImageSize],
        *,
        max_crops: int | None = None,
        policy: str | None = None,
        content: Content | None = None,
    ) -> CropPlan:
        """How images of one prompt become crops; from sizes alone.

        Args:
            sizes: Sizes of upright images in pixels, in prompt order.
            max_crops: Most crops, instead of the saved number.
            policy: Allocation policy, instead of the saved one.
            content: What the policy may look at besides sizes; see `allocate_tiles`.

        Raises:
            BudgetError: If there are more images than `max_crops`.
            ConfigError: If the policy is unknown.
        """
        return plan_crops(
            sizes,
            geometry=self.settings.geometry,
            max_crops=self.settings.max_crops if max_crops is None else max_crops,
            policy=self.settings.policy if policy is None else policy,
            content=content,
            max_tiles_per_image=self.settings.max_tiles_per_image,
        )

    def iter_pixels(
        self, images: Sequence[Image], plan: CropPlan | None = None
    ) -> Iterator[NDArray[np.float32]]:
        """Crops image by image, so that they can be hashed, encoded and forgotten one by one.

        Args:
            images: Images of one prompt, in prompt order.
            plan: What to cut; planned from the images by default.

        Yields:
            (num_crops of the image, 3, crop_size, crop_size), float32, in layout order.

        Raises:
            BudgetError: If there are more images than `max_crops`.
            GeometryError: If the plan was made for other sizes.
        """
        upright = [to_rgb(image) for image in images]
        plan = plan or self.plan([ImageSize(image.width, image.height) for image in upright])
        for image, tiled in zip(upright, plan.images, strict=True):
            image.load()  # a page that is drawn when used is drawn here, in one thread
            yield self._cut([image], replace(plan, images=(tiled,)))

    def pixel_values(self, prompts: Sequence[PreparedPrompt]) -> NDArray[np.float32] | None:
        """Crops of a batch, (num_crops, 3, crop_size, crop_size), float32, in prompt order."""
        total = sum(prepared.plan.num_crops for prepared in prompts)
        if total == 0:
            return None
        side = self.settings.crop_size
        out = np.empty((total, 3, side, side), np.float32)
        start = 0
        for prepared in prompts:
            end = start + prepared.plan.num_crops
            self._cut(prepared.images, prepared.plan, out[start:end])
            start = end
        return out

    def _cut(
        self, images: Sequence[Image], plan: CropPlan, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        return stack_crops(
            images,
            plan,
            thumbnail_last=self._builder.layout.thumbnail_last,
            normalisation=self.settings.normalisation,
            out=out,
        )

    # --- Calls -------------------------------------------------------------------------------

    def __call__(self, text: Any = None, images: Any = None, **options: Any) -> LeopardInputs:
        """Make model inputs for one prompt or a batch.

        Strings are user text: `<image>` tags in them mark images (missing ones are put in front,
        surplus ones deleted), special tokens in them stay plain characters, and the chat format
        is put around them. Messages are taken as they are. Strings made by `apply_chat_template`,
        and any string under `rendered=True`, are whole prompts with one `image_token` per image.

        Args:
            text: A string, a list of messages, or a list of either.
            images: One image, a list, or one list for each prompt; see `read_image`.
            **options: See `CallOptions`.

        Returns:
            `input_ids` and `attention_mask`, (batch, length), and with images `pixel_values`,
            (num_crops, 3, crop_size, crop_size), and `grids`, (num_images, 2), rows and columns of
            tiles, 0 where a thumbnail is all; over the batch in prompt order. `num_crops` and
            `dropped_images` are attributes.

        Raises:
            PromptError: If messages are malformed or do not match the images.
            BudgetError: If a prompt has more images than `max_crops`.
            ContextLengthError: If an expanded prompt is longer than `max_length`.
            ConfigError: If an option is unknown.
        """
        call = build(CallOptions, options, origin="processor call")
        conversations = read_conversations(text, images, rendered=call.rendered)
        prepared = [self._prepare(conversation, call) for conversation in conversations]
        return self._inputs(prepared, call, has_text=text is not None)

    def apply_chat_template(  # type: ignore[override]
        self,
        conversation: Any,
        chat_template: str | None = None,
        *,
        tokenize: bool = False,
        return_dict: bool = False,
        processor_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Put messages into the chat format, as transformers' processors do.

        Args:
            conversation: A list of messages, or a list of such lists. Image parts may carry their
                image under `image`, `path`, `url` (local or `data:`) or `base64`.
            chat_template: Must be None; the format belongs to the weights.
            tokenize: Whether to make model inputs rather than a string.
            return_dict: With `tokenize`: all inputs rather than the token ids alone.
            processor_kwargs: More options, as in `options`.
            **options: See `CallOptions`; `images` gives images that the messages do not carry.

        Returns:
            A `RenderedPrompt` or a list of them, model inputs, or token ids.

        Raises:
            PromptError: If messages are malformed or another template is asked for.
            ConfigError: If an option is unknown.
        """
        if chat_template is not None:
            raise PromptError(
                "chat_template is given, but the weights know one format only; leave it out"
            )
        options = {"add_generation_prompt": False, **options, **(processor_kwargs or {})}
        for unused in ("tools", "documents", "load_audio_from_video"):
            if options.pop(unused, None):
                raise PromptError(f"{unused} is given, but the chat format has no place for it")
        images = options.pop("images", None)
        if tokenize:
            inputs = self(conversation, images, **options)
            return inputs if return_dict else inputs["input_ids"]
        call = build(CallOptions, options, origin="apply_chat_template")
        first = conversation[0] if isinstance(conversation, Sequence) and conversation else None
        is_batch = isinstance(first, Sequence)
        prompts = [
            self._builder.render(item.messages, ending=call.ending)
            for item in read_conversations(conversation, None)
        ]
        return prompts if is_batch else prompts[0]

    def prepare(self, messages: Any, images: Any = None, **options: Any) -> PreparedPrompt:
        """Plan and encode one prompt without cutting pixels; arguments as of a call.

        Raises:
            PromptError, BudgetError, ContextLengthError, ConfigError: As a call does.
        """
        call = build(CallOptions, options, origin="processor call")
        conversations = read_conversations(messages, images, rendered=call.rendered)
        if len(conversations) != 1:
            raise PromptError(f"{len(conversations)} prompts where one is prepared at a time")
        return self._prepare(conversations[0], call)

    def encode_for_training(
        self, messages: Sequence[Message], images: Sequence[Image], max_length: int | None = None
    ) -> dict[str, Any]:
        """One training example, in the very format of inference.

        Samples without images are as good as any. Nothing is cut or dropped.

        Args:
            messages: Turns; the assistant's are learnt, their end-of-turn tokens included.
            images: Images in prompt order.
            max_length: Most tokens of the expanded example.

        Returns:
            Tensors `input_ids` (length,), `labels` (length,) with -100 outside answers,
            `loss_mask` (length,) bool, `num_crops` (num_images,), and with images
            `pixel_values` (num_crops, 3, crop_size, crop_size) and `grids` (num_images, 2), rows
            and columns of tiles.

        Raises:
            PromptError: If there is no assistant turn, or parts and images do not match.
            BudgetError: If there are more images than `max_crops`.
            ContextLengthError: If it is longer than `max_length`.
        """
        import torch

        call = CallOptions(add_generation_prompt=False, max_length=max_length)
        conversation = Conversation(messages=tuple(messages), images=tuple(images))
        # Trainers plan from sizes alone, long before an image is drawn.
        prepared = self._prepare(conversation, call, sees_content=False)
        if not any(prepared.prompt.answer_mask):
            raise PromptError("the conversation has no assistant turn, so nothing can be learnt")
        example = {
            "input_ids": torch.tensor(prepared.prompt.input_ids),
            "labels": torch.tensor(prepared.prompt.labels),
            "loss_mask": torch.tensor(prepared.prompt.answer_mask),
            "num_crops": torch.tensor(prepared.plan.crops_per_image, dtype=torch.int64),
        }
        if (pixels := self.pixel_values([prepared])) is not None:
            example["pixel_values"] = torch.from_numpy(pixels)
            example["grids"] = torch.tensor(prepared.plan.grids, dtype=torch.int64)
        return example

    # --- Steps of a call ---------------------------------------------------------------------

    def _prepare(
        self, conversation: Conversation, call: CallOptions, *, sees_content: bool = True
    ) -> PreparedPrompt:
        settings = call.applied_to(self.settings)
        kept = kept_images(len(conversation.images), settings)
        images = tuple(to_rgb(conversation.images[index]) for index in kept)
        plan = self.plan(
            [ImageSize(image.width, image.height) for image in images],
            max_crops=settings.max_crops,
            policy=settings.policy,
            content=Content(images=images, question=conversation.asked) if sees_content else None,
        )
        prompt = self._encode(conversation, kept, plan, call)
        check_length(len(prompt.input_ids), plan, settings.context_length)
        placeholders = prompt.input_ids.count(self.image_token_id)
        if conversation.messages or conversation.rendered is not None:
            assert placeholders == plan.visual_tokens, (placeholders, plan.visual_tokens)
        dropped = sorted(set(range(len(conversation.images))) - set(kept))
        return PreparedPrompt(
            images=images, plan=plan, prompt=prompt, dropped_images=tuple(dropped)
        )

    def _encode(
        self, conversation: Conversation, kept: Sequence[int], plan: CropPlan, call: CallOptions
    ) -> EncodedPrompt:
        crops = plan.crops_per_image
        if conversation.rendered is not None:
            return self._builder.encode_rendered(
                keep_rendered_images(conversation.rendered, self.image_token, kept), crops
            )
        messages = conversation.messages
        if not messages:
            return EncodedPrompt(input_ids=[], answer_mask=[], image_spans=[])
        if len(kept) < len(conversation.images):
            messages = keep_images(messages, kept)
        return self._builder.encode(messages, crops, ending=call.ending)

    def _inputs(
        self, prepared: Sequence[PreparedPrompt], call: CallOptions, *, has_text: bool
    ) -> LeopardInputs:
        data: dict[str, Any] = {}
        if has_text:
            data = self._padded([item.prompt for item in prepared], call)
        pixels = self.pixel_values(prepared)
        if pixels is not None:
            data["pixel_values"] = pixels
            grids = [grid for item in prepared for grid in item.plan.grids]
            data["grids"] = np.array(grids, np.int64)
        if call.return_tensors == "pt":
            import torch

            # Arrays are handed over without a copy.
            data = {name: torch.as_tensor(value) for name, value in data.items()}
        elif call.return_tensors == "np":
            data = {name: np.asarray(value) for name, value in data.items()}
        num_crops: Any = [count for item in prepared for count in item.plan.crops_per_image]
        if call.return_tensors == "pt":
            num_crops = torch.tensor(num_crops, dtype=torch.int64)
        report = {
            "num_crops": num_crops,
            "dropped_images": [list(item.dropped_images) for item in prepared],
            "prompts": list(prepared),
        }
        return LeopardInputs(data, report)

    def _padded(self, prompts: Sequence[EncodedPrompt], call: CallOptions) -> dict[str, Any]:
        longest = max(len(prompt.input_ids) for prompt in prompts)
        if not call.padding:
            if call.return_tensors and any(len(p.input_ids) != longest for p in prompts):
                raise PromptError(
                    "prompts of different lengths make no tensor; use padding=True or "
                    "return_tensors=None"
                )
            longest = 0

        def pad(row: list[int], filler: int) -> list[int]:
            spare = [filler] * (longest - len(row))
            return spare + row if call.padding_side == "left" else row + spare

        ids = [pad(prompt.input_ids, self.pad_token_id) for prompt in prompts]
        data = {
            "input_ids": ids,
            "attention_mask": [pad([1] * len(prompt.input_ids), 0) for prompt in prompts],
        }
        if call.return_mm_token_type_ids:
            image = self.image_token_id
            data["mm_token_type_ids"] = [[int(token == image) for token in row] for row in ids]
        if call.return_assistant_tokens_mask:
            data["assistant_masks"] = [pad(list(map(int, p.answer_mask)), 0) for p in prompts]
        return data
