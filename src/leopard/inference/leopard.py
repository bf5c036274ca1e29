"""`Leopard`: questions about files, answered.

Puts documents, processor and model together. Everything it does can be done with the parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leopard.documents import Limits, LoadedPages, LoadOptions, load_pages
from leopard.errors import LeopardError, PromptError
from leopard.inference.engine import EngineOptions, LocalGenerator
from leopard.inference.loading import LoadSettings, load_generator
from leopard.inference.row import Row, VisualMemo
from leopard.processor import LeopardProcessor
from leopard.processor.prompt import IMAGE_TAG, instruction_for, message_from_text
from leopard.schema.generation import GenerationRequest, SamplingOptions, Timings, Usage
from leopard.schema.geometry import ImageSize
from leopard.schema.messages import ImagePart, Message, TextPart
from leopard.schema.pages import Page

IDEFICS2_DPI = 120.0
IDEFICS2_SIDE = 980


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The answer to one question."""

    text: str
    pages: tuple[Page, ...]
    """The pages that were read, in prompt order."""
    dropped_pages: tuple[Page, ...] = ()
    """Pages left out because there were too many and `on_too_many_images` allows it."""
    usage: Usage
    timings: Timings
    finish_reason: str = "stop"
    """`stop` when the model ended its answer, `length` at the limit of new tokens."""
    model: str = ""
    """Name of the model."""

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain values, pages by source and number."""
        usage, timings = self.usage, self.timings
        return {
            "answer": self.text,
            "finish_reason": self.finish_reason,
            "model": self.model,
            "pages": _page_records(self.pages),
            "dropped_pages": _page_records(self.dropped_pages),
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "visual_tokens": usage.visual_tokens,
                "crops": usage.crops,
                "completion_tokens": usage.completion_tokens,
            },
            "timings_s": {
                "preprocess": round(timings.preprocess_s, 4),
                "vision": round(timings.vision_s, 4),
                "first_token": round(timings.first_token_s, 4),
                "decode": round(timings.decode_s, 4),
                "total": round(timings.total_s, 4),
            },
        }


class AnswerStream:
    """Text of an answer as it comes; `answer` is there when the text is complete.

    Iterate to the end before reading `answer`.
    """

    def __init__(self, generator: LocalGenerator, row: Row, pages: tuple[Page, ...]) -> None:
        self._generator = generator
        self._row = row
        self._pages = pages
        self._pieces = self._run()

    def __iter__(self) -> Iterator[str]:
        return self._pieces

    def __next__(self) -> str:
        return next(self._pieces)

    def _run(self) -> Iterator[str]:
        for _ in self._generator.run([self._row]):
            if self._row.fresh:
                yield self._row.fresh

    @property
    def answer(self) -> Answer:
        """The whole answer; reads the rest of the stream if there is any."""
        for _ in self._pieces:
            pass
        return _answer(self._generator, self._row, self._pages)


class Leopard:
    """Answers questions about documents and images.

    Example:
        >>> leopard = Leopard.from_pretrained()  # doctest: +SKIP
        >>> leopard.ask("report.pdf", "What was the total in 2023?").text  # doctest: +SKIP
    """

    def __init__(self, generator: LocalGenerator) -> None:
        self.generator = generator

    @classmethod
    def from_pretrained(  # noqa: PLR0913 - all that a user may want to say about a model
        cls,
        folder_or_name: str | Path | None = None,
        *,
        device: str | None = None,
        dtype: Any = None,
        device_map: Any = None,
        weights: str | None = None,
        engine: str | None = None,
        options: EngineOptions | None = None,
        processor_settings: Mapping[str, Any] | None = None,
        **hub: Any,
    ) -> Leopard:
        """Load a model.

        Args:
            folder_or_name: Folder, hub name such as `wyu1/Leopard-LLaVA` (needs the network the
                first time), or None for the model that comes with the package.
            device: `cpu`, `cuda`, `mps`; the best there is by default.
            dtype: Number type of the weights, such as `float32`; what suits the device by default.
            device_map: Spreads the model over devices; instead of `device`.
            weights: `int8` or `int4` for quantised weights on a CPU.
            engine: What computes the language model: `torch`, or `onnx` on a CPU; torch by default,
                and onnx for quantised weights.
            options: Batch and cache sizes.
            processor_settings: Settings to use instead of the saved ones, such as
                `{"policy": "fill", "on_too_many_images": "uniform"}`.
            **hub: `revision`, `cache_dir`, `local_files_only`, `token`.

        Raises:
            CheckpointError: If the model is not found, incomplete or contradicts itself.
            ConfigError: If a setting cannot be met.
        """
        settings = LoadSettings(
            device=device, dtype=dtype, device_map=device_map, weights=weights, engine=engine
        )
        return cls(
            load_generator(
                folder_or_name,
                settings=settings,
                options=options,
                processor_settings=processor_settings,
                **hub,
            )
        )

    @property
    def model(self) -> Any:
        """The model underneath."""
        return self.generator.model

    @property
    def processor(self) -> Any:
        """The processor underneath."""
        return self.generator.processor

    # --- Pages -------------------------------------------------------------------------------

    def load_options(
        self,
        *,
        pages: str | None = None,
        password: str | None = None,
        limits: Limits | None = None,
    ) -> LoadOptions:
        """How documents are drawn so that this model's crops are filled and no more."""
        return page_options(self.processor, pages=pages, password=password, limits=limits)

    def load(
        self,
        files: Any,
        *,
        pages: str | None = None,
        password: str | None = None,
        limits: Limits | None = None,
        collect_errors: bool = False,
        later: bool = False,
    ) -> LoadedPages:
        """Read files into pages as `ask` does.

        Args:
            files: A file, folder, glob, address, Pillow image or `Page`, or a list of these.
            pages: Pages of each document, such as `1-3,7`; all by default.
            password: For encrypted PDF files.
            limits: What the files may cost; `leopard.documents.Limits()` by default.
            collect_errors: Whether to go on after a bad file and return the errors.
            later: Whether pages are drawn when they are first looked at, so that a question asked
                of them has the first encoded while the next are drawn; see
                `leopard.documents.load_pages`.

        Raises:
            DocumentError: If a file cannot be read and errors are not collected.
        """
        sources = [files] if not isinstance(files, Sequence) or isinstance(files, str) else files
        loaded = LoadedPages([], [], {})
        options = self.load_options(pages=pages, password=password, limits=limits)
        how: Any = {"on_error": "collect" if collect_errors else "raise", "later": later}
        waiting: list[Any] = []
        for source in [*sources, None]:
            if source is None or isinstance(source, Page):
                part = load_pages(waiting, options=options, **how) if waiting else None
                _extend(loaded, part)
                waiting = []
                loaded.pages.extend([] if source is None else [source])
            else:
                waiting.append(source)
        return loaded

    # --- Questions ---------------------------------------------------------------------------

    def ask(
        self,
        files: Any,
        question: str,
        *,
        pages: str | None = None,
        sampling: SamplingOptions | None = None,
        password: str | None = None,
        instruction: str = "none",
    ) -> Answer:
        """Answer a question about files.

        Args:
            files: A file, folder, glob, address, Pillow image or `Page`, or a list of these; an
                empty list asks without pictures.
            question: Plain text; `<image>` tags in it mark the places of the pages.
            pages: Pages of each document, such as `1-3,7`; all by default.
            sampling: How to choose tokens; greedy by default.
            password: For encrypted PDF files.
            instruction: `direct` and `cot` add the instruction of the published evaluation.

        Raises:
            LeopardError: If a file cannot be read, or the pages do not fit the model.
        """
        loaded = self.load(files, pages=pages, password=password, later=True)
        session = self.open_pages(loaded.pages)
        return session.ask(question, sampling=sampling, instruction=instruction)

    def stream(
        self,
        files: Any,
        question: str,
        *,
        pages: str | None = None,
        sampling: SamplingOptions | None = None,
        password: str | None = None,
        instruction: str = "none",
    ) -> AnswerStream:
        """As `ask`, giving text as soon as it is certain; the pieces join to the same text."""
        loaded = self.load(files, pages=pages, password=password, later=True)
        session = self.open_pages(loaded.pages)
        return session.stream(question, sampling=sampling, instruction=instruction)

    def open(
        self,
        files: Any,
        *,
        pages: str | None = None,
        password: str | None = None,
        limits: Limits | None = None,
    ) -> DocumentSession:
        """Read files once for several questions; their pages are encoded once.

        Raises:
            DocumentError: If a file cannot be read.
        """
        loaded = self.load(files, pages=pages, password=password, limits=limits)
        return self.open_pages(loaded.pages)

    def open_pages(self, pages: Sequence[Page]) -> DocumentSession:
        """As `open`, with pages read before."""
        return DocumentSession(self.generator, tuple(pages))

    def ask_many(
        self,
        items: Sequence[tuple[Any, str]],
        *,
        sampling: SamplingOptions | None = None,
        instruction: str = "none",
    ) -> list[Answer | LeopardError]:
        """Answer many questions, several at once.

        Args:
            items: Files and question of each, as in `ask`.
            sampling: How to choose tokens; greedy by default.
            instruction: As in `ask`.

        Returns:
            In the order of the items: the answer, or the error that kept it from being given.
        """
        results: list[Answer | LeopardError | None] = [None] * len(items)
        rows: list[tuple[int, Row, tuple[Page, ...]]] = []
        for index, (files, question) in enumerate(items):
            try:
                session = self.open_pages(self.load(files, later=True).pages)
                request = session.request(question, sampling=sampling, instruction=instruction)
                rows.append((index, self.generator.start(request), session.pages))
            except LeopardError as error:
                results[index] = error
        self.generator.finish([row for _, row, _ in rows])
        for index, row, pages in rows:
            results[index] = _answer(self.generator, row, pages)
        return [result for result in results if result is not None]


class DocumentSession:
    """One document and the questions about it; its pages are encoded with the first question.

    Attributes:
        pages: The pages, in prompt order.
    """

    def __init__(self, generator: LocalGenerator, pages: tuple[Page, ...]) -> None:
        self.pages = pages
        self._generator = generator
        self._memo = VisualMemo()

    @property
    def num_chunks(self) -> int:
        """Chunks of crops that the vision encoder will see: what a progress bar counts."""
        plan = getattr(self._generator.processor, "plan", None)
        if plan is None:
            return 1
        kept = self.pages[: self._generator.processor.settings.max_crops]
        sizes = [ImageSize(page.image.width, page.image.height) for page in kept]
        chunk_size: int = self._generator.model.config.vision_chunk_size
        return -(-int(plan(sizes).num_crops) // chunk_size)

    def ask(
        self,
        question: str,
        *,
        sampling: SamplingOptions | None = None,
        instruction: str = "none",
    ) -> Answer:
        """Answer a question about the document; see `Leopard.ask`."""
        return self.stream(question, sampling=sampling, instruction=instruction).answer

    def stream(
        self,
        question: str,
        *,
        sampling: SamplingOptions | None = None,
        instruction: str = "none",
        watch: Callable[[], None] | None = None,
    ) -> AnswerStream:
        """Answer a question, giving text as soon as it is certain; see `Leopard.stream`.

        Args:
            question: The question.
            sampling: How to choose tokens; greedy by default.
            instruction: As in `Leopard.ask`.
            watch: Called after every chunk of crops that the vision encoder has seen.
        """
        request = self.request(question, sampling=sampling, instruction=instruction)
        row = self._generator.start(request, self._memo, watch=watch)
        return AnswerStream(self._generator, row, self.pages)

    def request(
        self,
        question: str,
        *,
        sampling: SamplingOptions | None = None,
        instruction: str = "none",
    ) -> GenerationRequest:
        """The request that a question becomes.

        Raises:
            PromptError: If the question is empty.
            ConfigError: If the instruction is unknown.
        """
        message = question_about(question, len(self.pages), instruction=instruction)
        return GenerationRequest(
            messages=(message,),
            images=tuple(page.image for page in self.pages),
            sampling=sampling or SamplingOptions(),
        )


def page_options(
    processor: Any,
    *,
    pages: str | None = None,
    password: str | None = None,
    limits: Limits | None = None,
) -> LoadOptions:
    """How documents are drawn so that crops are filled and no more; see `Leopard.load_options`.

    Args:
        processor: Processor of either kind of model.
        pages: Pages of each document, such as `1-3,7`; all by default.
        password: For encrypted PDF files.
        limits: What the documents may cost; the usual limits by default.
    """
    common: dict[str, Any] = {
        "pages": pages or "",
        "password": password,
        "limits": limits or Limits(),
    }
    if not isinstance(processor, LeopardProcessor):
        return LoadOptions(target_dpi=IDEFICS2_DPI, max_side_px=2 * IDEFICS2_SIDE, **common)
    settings = processor.settings
    return LoadOptions(
        crop_size=settings.crop_size,
        max_crops=settings.max_crops,
        max_tiles_per_page=settings.max_tiles_per_image,
        reading_dpi=settings.reading_dpi,
        **common,
    )


def question_about(question: str, num_images: int, *, instruction: str = "none") -> Message:
    """A user turn: all images first, or at the `<image>` tags of the question, then the text.

    Args:
        question: Plain text.
        num_images: Images of the document.
        instruction: `none`, or `direct` or `cot` for the published wording on a line of its own.

    Raises:
        PromptError: If the question is empty.
        ConfigError: If the instruction is unknown.
    """
    if not question.strip():
        raise PromptError("the question is empty; ask something about the pages")
    wording = instruction_for(instruction)
    text = f"{question}\n{wording}" if wording else question
    if IMAGE_TAG in question:
        return message_from_text(text, num_images)
    return Message("user", (*[ImagePart()] * num_images, TextPart(text)))


def _answer(generator: LocalGenerator, row: Row, pages: tuple[Page, ...]) -> Answer:
    done = row.generation()
    dropped = set(row.prepared.dropped_images)
    return Answer(
        text=done.text,
        pages=tuple(page for index, page in enumerate(pages) if index not in dropped),
        dropped_pages=tuple(pages[index] for index in sorted(dropped)),
        usage=done.usage,
        timings=done.timings,
        finish_reason=done.finish_reason,
        model=generator.name,
    )


def _page_records(pages: Sequence[Page]) -> list[dict[str, Any]]:
    return [{"source": page.source, "page": page.number} for page in pages]


def _extend(loaded: LoadedPages, part: LoadedPages | None) -> None:
    if part is None:
        return
    loaded.pages.extend(part.pages)
    loaded.failures.extend(part.failures)
    for reason, count in part.skipped.items():
        loaded.skipped[reason] = loaded.skipped.get(reason, 0) + count
