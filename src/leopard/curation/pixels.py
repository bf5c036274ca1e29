"""Pages of vector samples as pixels, clean or as a scan.

A scan is a page turned by up to 1.5 degrees, blurred, with uneven light, grain and JPEG traces,
all from one seed. Knows nothing of where pages come from.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import PIL.Image
import PIL.ImageFilter
import pypdfium2 as pdfium

from leopard.curation.randomness import stream
from leopard.documents.pdf import draw_page
from leopard.schema.geometry import Box, ImageSize
from leopard.schema.samples import PixelImage, Sample, VectorPage
from leopard.schema.shards import PdfTable

JPEG_QUALITY = 88
Quad = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class ScanTurn:
    """How a scan moves points: a rotation about the middle of the page."""

    degrees: float
    size: ImageSize

    def box(self, box: Quad) -> Quad:
        """A box in shares of the page after the turn: the upright box around the turned one."""
        width, height = self.size.width, self.size.height
        angle = math.radians(self.degrees)
        corners = [(x * width - width / 2, y * height - height / 2)
                   for x in (box[0], box[2]) for y in (box[1], box[3])]  # fmt: skip
        turned = [
            (x * math.cos(angle) + y * math.sin(angle), -x * math.sin(angle) + y * math.cos(angle))
            for x, y in corners
        ]
        xs = [min(max(x / width + 0.5, 0), 1) for x, _ in turned]
        ys = [min(max(y / height + 0.5, 0), 1) for _, y in turned]
        return round(min(xs), 5), round(min(ys), 5), round(max(xs), 5), round(max(ys), 5)


def scan_turn(seed: int, size: ImageSize) -> ScanTurn:
    """The turn of a scan with this seed."""
    return ScanTurn(stream("scan turn", seed).uniform(-1.5, 1.5), size)


def box_on_image(box: Box, page_size: tuple[float, float], image: VectorPage) -> Quad:
    """Where an element of a page is on its image.

    Args:
        box: Outline on the page; what stands out of the page is cut off.
        page_size: (width, height) of the page, in the unit of the box.
        image: How the page is drawn: a scan is turned.

    Returns:
        (left, top, right, bottom) as shares of the image.
    """
    width, height = page_size
    shares = (
        round(min(max(box.left / width, 0.0), 1.0), 5),
        round(min(max(box.top / height, 0.0), 1.0), 5),
        round(min(max(box.right / width, 0.0), 1.0), 5),
        round(min(max(box.bottom / height, 0.0), 1.0), 5),
    )
    if image.augment_seed is None:
        return shares
    return scan_turn(image.augment_seed, ImageSize(image.width, image.height)).box(shares)


def draw(pdf: bytes, page: VectorPage, size: ImageSize | None = None) -> PIL.Image.Image:
    """A page as an RGB image.

    Args:
        pdf: The PDF file.
        page: Which page, at which resolution, clean or as a scan.
        size: Another size in pixels; the reference size by default.
    """
    document = pdfium.PdfDocument(pdf)
    try:
        handle = document[page.page - 1]
        try:
            image = draw_page(handle, size or ImageSize(page.width, page.height))
        finally:
            handle.close()
    finally:
        document.close()
    return image if page.augment_seed is None else scan(image, page.augment_seed)


def scan(image: PIL.Image.Image, seed: int) -> PIL.Image.Image:
    """The image as if printed and scanned; the same seed gives the same pixels."""
    rng = stream("scan", seed)
    size = ImageSize(image.width, image.height)
    paper = image.getpixel((0, 0))
    turned = image.rotate(
        scan_turn(seed, size).degrees, PIL.Image.Resampling.BICUBIC, fillcolor=paper
    )
    blurred = turned.filter(PIL.ImageFilter.GaussianBlur(rng.uniform(0.0, 0.6)))
    pixels = np.asarray(blurred, dtype=np.float32)
    noise = np.random.default_rng(rng.getrandbits(64))
    grain = noise.normal(0, rng.uniform(1, 9), pixels.shape[:2]).astype(np.float32)[:, :, None]
    ramp = np.linspace(rng.uniform(0.88, 1), rng.uniform(0.88, 1), size.width, dtype=np.float32)
    black = rng.uniform(0, 35)
    pixels = (black + pixels * (1 - black / 255)) * ramp[None, :, None] + grain
    spoiled = PIL.Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        spoiled = spoiled.convert("L").convert("RGB")
    file = io.BytesIO()
    spoiled.save(file, "JPEG", quality=rng.randint(45, 90))
    with PIL.Image.open(file) as result:
        return result.convert("RGB")


def to_jpeg(image: PIL.Image.Image, path: str = "", quality: int = JPEG_QUALITY) -> PixelImage:
    """An image as an embedded JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return PixelImage(data=file.getvalue(), width=image.width, height=image.height, path=path)


def to_pixels(sample: Sample, pdfs: PdfTable | Mapping[str, bytes]) -> Sample:
    """The sample with every page as an embedded JPEG; pixel samples come back unchanged."""
    images = []
    for number, image in enumerate(sample.images):
        if isinstance(image, VectorPage):
            pdf = pdfs.read(image.pdf_ref) if isinstance(pdfs, PdfTable) else pdfs[image.pdf_ref]
            images.append(to_jpeg(draw(pdf, image), f"{sample.id}-{number}.jpg"))
        else:
            images.append(image)
    return replace(sample, images=tuple(images))
