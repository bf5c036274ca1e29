import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.errors import BudgetError, ConfigError, GeometryError
from leopard.processor import crops
from leopard.processor.crops import Normalisation, plan_crops, rgb_crops, stack_crops
from leopard.processor.policies import Content
from leopard.schema.geometry import CropGeometry, Grid, ImageSize
from tests.processor import golden

PREPROCESS = golden.read("preprocess")
SMALL = CropGeometry(crop_size=28, patch_size=14, shuffle_factor=2)


def size_of(image):
    return ImageSize(image.width, image.height)


@pytest.mark.parametrize("case", golden.read("allocation")["cases"], ids=lambda c: str(c["id"]))
def test_plan_has_the_published_geometry(case):
    sizes = golden.sizes_of(case["image_sizes_wh"])
    plan = plan_crops(sizes, max_crops=max(50, len(sizes)))
    assert list(plan.visual_tokens_per_image) == case["visual_tokens_per_image"]
    assert list(plan.crops_per_image) == case["images_encoded_per_image"]
    assert plan.num_crops == case["total_images_encoded"]
    assert plan.visual_tokens == case["total_visual_tokens"]
    assert plan.tile_budget == max(case["budget"], 0)
    for index, image in enumerate(plan.images):
        grid = case["grids_rows_cols"][index]
        assert (image.grid and [image.grid.rows, image.grid.cols]) == grid
        resized = image.resized and [image.resized.width, image.resized.height]
        assert resized == case["resized_wh"][index]
        assert (image.paste_at and list(image.paste_at)) == case["paste_xy"][index]
        assert [list(box) for box in image.tile_boxes] == case["crop_boxes_xyxy"][index]


@pytest.mark.parametrize("group", PREPROCESS["groups"], ids=lambda group: str(group["id"]))
def test_pixels_are_the_published_ones(group):
    images = [golden.synthetic(*record["size_wh"]) for record in group["images"]]
    plan = plan_crops([size_of(image) for image in images])
    values = iter(stack_crops(images, plan))
    for image, tiled, record in zip(images, plan.images, group["images"], strict=True):
        assert golden.sha256(np.asarray(image)) == record["source_rgb_sha256"]
        thumbnail, *tiles = rgb_crops(image, tiled)
        assert golden.sha256(thumbnail) == record["global_364_rgb_sha256"]
        assert golden.sha256(next(values)) == record["global_pixel_values_f32_sha256"]
        for tile, expected in zip(tiles, record["crops"], strict=True):
            assert golden.sha256(tile) == expected["rgb_sha256"]
            assert golden.sha256(next(values)) == expected["pixel_values_f32_sha256"]
    assert next(values, None) is None


def test_normalisation_is_the_published_table():
    expected = "".join(PREPROCESS["normalise_lut_f32_be_hex"])
    for row in Normalisation().table():
        assert row.astype(">f4").tobytes().hex() == expected


def test_normalisation_is_per_channel():
    normalisation = Normalisation(mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 2.0), scale=1.0)
    out = np.empty((3, 1, 2), np.float32)
    normalisation.apply(np.array([[[2, 4, 6], [0, 1, 255]]], np.uint8), out)
    assert out.tolist() == [[[2.0, 0.0]], [[7.0, 1.0]], [[2.5, 127.0]]]


def test_the_table_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        Normalisation().table()[0, 0] = 1.0


def test_thumbnail_last_moves_the_thumbnail_behind_its_tiles():
    images = [golden.synthetic(120, 60), golden.synthetic(20, 20), golden.synthetic(30, 90)]
    plan = plan_crops([size_of(image) for image in images], geometry=SMALL, max_crops=12)
    first = stack_crops(images, plan)
    last = stack_crops(images, plan, thumbnail_last=True)
    start = 0
    for image, tiled in zip(images, plan.images, strict=True):
        end = start + tiled.num_crops
        assert np.array_equal(np.roll(first[start:end], -1, axis=0), last[start:end])
        crops_last = list(rgb_crops(image, tiled, thumbnail_last=True))
        assert np.array_equal(crops_last[-1], next(rgb_crops(image, tiled)))
        start = end
    assert plan.num_tiles > 2


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    images = [golden.synthetic(90, 140), golden.synthetic(200, 60)]
    plan = plan_crops([size_of(image) for image in images], geometry=SMALL, max_crops=20)
    many = stack_crops(images, plan)
    monkeypatch.setattr(crops, "_MAX_WORKERS", 1)
    assert np.array_equal(stack_crops(images, plan), many)


def test_crops_are_written_where_the_caller_says():
    image = golden.synthetic(60, 60)
    plan = plan_crops([size_of(image)], geometry=SMALL, max_crops=5)
    out = np.zeros((plan.num_crops, 3, 28, 28), np.float32)
    assert stack_crops([image], plan, out=out) is out
    assert np.array_equal(out, stack_crops([image], plan))


@given(st.integers(1, 300), st.integers(1, 300), st.integers(2, 20))
@settings(deadline=None, max_examples=40)
def test_tiles_put_together_are_the_scaled_image_on_black(width, height, most):
    image = golden.synthetic(width, height)
    plan = plan_crops([size_of(image)], geometry=SMALL, max_crops=most, policy="fill")
    tiled = plan.images[0]
    _, *tiles = rgb_crops(image, tiled)
    if tiled.grid is None:
        assert tiles == []
        return
    canvas = np.block([[[tiles[r * tiled.grid.cols + c]] for c in range(tiled.grid.cols)]
                       for r in range(tiled.grid.rows)])  # fmt: skip
    left, top = tiled.paste_at
    scaled = tiled.resized
    inner = canvas[top : top + scaled.height, left : left + scaled.width]
    expected = np.asarray(image.resize((scaled.width, scaled.height)))
    assert np.array_equal(inner, expected)
    assert int(canvas.astype(np.int64).sum()) == int(inner.astype(np.int64).sum())


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 128, (128, 128, 128)),
        ("LA", (0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 128), (255, 127, 127)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 0x8080, (128, 128, 128)),
        ("I", 257 * 200, (200, 200, 200)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
    ],
)
def test_images_of_any_mode_become_the_colours_one_sees(mode, colour, expected):
    image = PIL.Image.new(mode, (40, 30), colour)
    plan = plan_crops([size_of(image)], geometry=SMALL, max_crops=1)
    (thumbnail,) = rgb_crops(image, plan.images[0])
    assert np.abs(thumbnail.astype(int) - np.array(expected)).max() <= 1


def test_a_palette_with_a_transparent_colour_is_laid_over_white():
    image = PIL.Image.new("P", (40, 40), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(1, (0, 0, 40, 20))
    image.info["transparency"] = 0
    plan = plan_crops([size_of(image)], geometry=SMALL, max_crops=1)
    (thumbnail,) = rgb_crops(image, plan.images[0])
    assert thumbnail[2, 5].tolist() == [255, 0, 0]
    assert thumbnail[-2, 5].tolist() == [255, 255, 255]


def test_orientation_is_applied_before_cutting():
    image = PIL.Image.new("RGB", (60, 20), "black")
    image.paste((255, 255, 255), (0, 0, 30, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()
    plan = plan_crops([ImageSize(20, 60)], geometry=SMALL, max_crops=1)
    (thumbnail,) = rgb_crops(image, plan.images[0])
    assert thumbnail[2, 14].tolist() == [255, 255, 255]
    assert thumbnail[-2, 14].tolist() == [0, 0, 0]


@pytest.mark.parametrize("size", [(500, 1), (1, 500), (1, 1), (3, 400), (400, 3)])
def test_lines_one_pixel_thin_become_crops(size):
    image = golden.synthetic(*size)
    plan = plan_crops([size_of(image)], geometry=SMALL, max_crops=9, policy="fill")
    values = stack_crops([image], plan)
    assert values.shape == (plan.num_crops, 3, 28, 28)
    assert np.isfinite(values).all()


def test_a_plan_for_another_size_is_refused():
    plan = plan_crops([ImageSize(10, 10)], geometry=SMALL)
    with pytest.raises(GeometryError, match="image of 10x10 pixels but this one has 10x11"):
        stack_crops([PIL.Image.new("RGB", (10, 11))], plan)


def test_more_images_than_crops_is_an_error_that_names_the_options():
    with pytest.raises(BudgetError, match=r"51 images but max_crops is 50.*pages.*first.*uniform"):
        plan_crops([ImageSize(10, 10)] * 51)


def test_fifty_images_are_thumbnails():
    plan = plan_crops([ImageSize(800, 600)] * 50)
    assert plan.num_crops == 50
    assert plan.visual_tokens == 8450


def test_a_prompt_without_any_crop_is_refused():
    with pytest.raises(BudgetError, match="max_crops is 0"):
        plan_crops([], max_crops=0)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ConfigError, match="unknown"):
        plan_crops([ImageSize(10, 10)], policy="magic")


def test_a_plan_without_images_is_empty():
    plan = plan_crops([])
    assert plan.num_crops == plan.visual_tokens == 0
    assert stack_crops([], plan).shape == (0, 3, 364, 364)


def test_weights_reach_the_policy():
    sizes = [ImageSize(2000, 2000)] * 2
    plan = plan_crops(sizes, max_crops=11, policy="fill", content=Content(weights=(0, 1)))
    assert [image.grid for image in plan.images] == [None, Grid(3, 3)]
