"""The OpenAI interface as far as it is served, field by field; unknown fields are errors.

Fields that ask for what is not done here may only have the value that asks for nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

MOST_TEXT = 1_000_000
"""Most characters of one text."""


class Input(BaseModel):
    """Base of what clients send."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TextContent(Input):
    """Text of a message."""

    type: Literal["text"]
    text: str = Field(max_length=MOST_TEXT)


class ImageAddress(Input):
    """An image, as a data: address with base64; or http(s) where the server allows the host."""

    url: str = Field(min_length=1)
    detail: Literal["auto", "high"] | None = None
    """Images are always shown in full."""


class ImageContent(Input):
    """An image of a message."""

    type: Literal["image_url"]
    image_url: ImageAddress


class FileReference(Input):
    """A document: uploaded before, or here as base64 or as a data: address."""

    file_id: str | None = Field(default=None, max_length=64)
    file_data: str | None = None
    filename: str | None = Field(default=None, max_length=255)

    @model_validator(mode="after")
    def _one_source(self) -> FileReference:
        if (self.file_id is None) == (self.file_data is None):
            raise ValueError("give either file_id or file_data")
        return self


class FileContent(Input):
    """A document of a message; each of its pages becomes an image."""

    type: Literal["file"]
    file: FileReference


ContentPart = Annotated[TextContent | ImageContent | FileContent, Field(discriminator="type")]


class ChatMessage(Input):
    """One turn. Images and files belong to the user's turns."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, Field(max_length=MOST_TEXT)] | list[ContentPart]
    name: str | None = None
    """Taken and not used."""

    @model_validator(mode="after")
    def _pictures_are_the_users(self) -> ChatMessage:
        parts = [] if isinstance(self.content, str) else self.content
        if self.role != "user" and any(not isinstance(part, TextContent) for part in parts):
            raise ValueError(f"a {self.role} turn may hold text only")
        return self


class StreamOptions(Input):
    """What a stream carries besides text."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    """Taken and not used: nothing is padded."""


class TextFormat(Input):
    """Plain text, the only format."""

    type: Literal["text"]


StopText = Annotated[str, Field(min_length=1, max_length=500)]


class ChatRequest(Input):
    """A conversation to be continued."""

    model: str = Field(max_length=500)
    messages: list[ChatMessage] = Field(min_length=1, max_length=1000)
    pages: str | None = Field(default=None, max_length=1000)
    """Pages of each document, such as `1-3,7`; all by default. Not part of OpenAI's interface."""
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    """0 is greedy, which is the default here."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    response_format: TextFormat | None = None
    frequency_penalty: float | None = Field(default=None, ge=0, le=0)
    presence_penalty: float | None = Field(default=None, ge=0, le=0)
    logprobs: Literal[False] | None = None
    store: Literal[False] | None = None
    user: str | None = None
    """Taken and not used."""

    @model_validator(mode="after")
    def _one_limit(self) -> ChatRequest:
        limits = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(limits) > 1:
            raise ValueError("max_tokens and max_completion_tokens differ; give one of them")
        return self

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """Texts that end the answer."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


class PromptDetails(BaseModel):
    """What the prompt's tokens are."""

    cached_tokens: int = 0
    visual_tokens: int
    """Positions taken by pages."""
    crops: int
    """Thumbnails and tiles shown."""


class ChatUsage(BaseModel):
    """Tokens of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class AnswerMessage(BaseModel):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The only answer."""

    index: int = 0
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: ChatUsage


class Delta(BaseModel):
    """A piece of an answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None

    @model_serializer
    def _given(self) -> dict[str, str]:
        """Only what is there, as OpenAI's own chunks have it."""
        fields = {"role": self.role, "content": self.content}
        return {name: value for name, value in fields.items() if value is not None}


class ChunkChoice(BaseModel):
    """The only answer, so far."""

    index: int = 0
    delta: Delta
    finish_reason: Literal["stop", "length"] | None = None
    logprobs: None = None


class ChatChunk(BaseModel):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = None


class Model(BaseModel):
    """A model that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "leopard"


class ModelList(BaseModel):
    """All models that are served."""

    object: Literal["list"] = "list"
    data: list[Model]


class FileObject(BaseModel):
    """An uploaded document."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    num_pages: int
    """Pages or pictures in it. Not part of OpenAI's interface."""


class FileList(BaseModel):
    """Uploaded documents, one page of the list."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(BaseModel):
    """A document that is no longer kept."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class Health(BaseModel):
    """How the server is."""

    status: Literal["ok", "stopping", "failed"]
    model: str
    version: str
    running: int
    """Requests at work."""
    waiting: int
    """Requests in the queue."""


class TileBox(BaseModel):
    """A tile's place on its page, as fractions of the page's width and height."""

    left: float
    top: float
    right: float
    bottom: float


class PageView(BaseModel):
    """A page as the model is shown it."""

    label: str
    source: str
    number: int
    width: int
    height: int
    rows: int
    cols: int
    tiles: list[TileBox]
    crops: int
    """0 where there are too many pages and the model's settings leave this one out."""
    visual_tokens: int
    share: float
    """Part of all visual tokens of the prompt, 0 to 1."""


class PagesView(BaseModel):
    """All pages of a question, and what they take."""

    pages: list[PageView]
    crops: int
    max_crops: int
    visual_tokens: int
    policy: str
