"""What a processor hands over: prepared prompts, and model inputs with a report beside them.

Knows nothing of tokenizers or of how inputs are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transformers import BatchFeature

from leopard.processor.crops import CropPlan
from leopard.processor.prompt import EncodedPrompt

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, kw_only=True)
class PreparedPrompt:
    """One prompt ready for the model, pixels not yet cut."""

    images: tuple[Image, ...]
    """Upright RGB images that are shown, in prompt order."""
    plan: CropPlan
    """How the images become crops."""
    prompt: EncodedPrompt
    """Token ids, images expanded."""
    dropped_images: tuple[int, ...]
    """Indices, counted from 0, of images that the caller allowed to be left out."""


class LeopardInputs(BatchFeature):
    """Model inputs; `**inputs` holds what the model takes, attributes hold the report.

    Attributes:
        num_crops: Crops of each image of the batch, in prompt order, int64.
        dropped_images: For each prompt the indices of images left out; empty unless
            `on_too_many_images` allows it.
        prompts: What was encoded, one entry per prompt.
    """

    def __init__(
        self, data: dict[str, Any], report: dict[str, Any], tensor_type: str | None = None
    ) -> None:
        self._report = report
        super().__init__(data, tensor_type=tensor_type)

    def __getitem__(self, item: Any) -> Any:
        report = self.__dict__.get("_report", {})
        return report[item] if item in report else super().__getitem__(item)

    def __contains__(self, item: object) -> bool:
        return item in self.__dict__.get("_report", {}) or super().__contains__(item)

    def __getattr__(self, item: str) -> Any:
        report = self.__dict__.get("_report", {})
        return report[item] if item in report else super().__getattr__(item)

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "_report": self._report}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
