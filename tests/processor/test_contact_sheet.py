import numpy as np
import pytest

from leopard.errors import GeometryError
from leopard.processor.contact_sheet import draw_contact_sheet
from leopard.processor.crops import plan_crops
from leopard.schema.geometry import CropGeometry, ImageSize
from tests.processor import golden

SMALL = CropGeometry(crop_size=56, patch_size=14, shuffle_factor=2)


def has_colour(sheet, colour):
    return bool((np.asarray(sheet) == np.array(colour)).all(-1).any())


def test_every_page_shows_its_own_pixels():
    import PIL.Image

    images = [PIL.Image.new("RGB", size, colour) for size, colour in
              [((200, 300), (250, 10, 20)), ((40, 40), (10, 250, 20))]]  # fmt: skip
    plan = plan_crops([ImageSize(*i.size) for i in images], geometry=SMALL, max_crops=10)
    sheet = draw_contact_sheet(plan, images, ["a" * 300, "b"])
    assert sheet.mode == "RGB"
    assert has_colour(sheet, (250, 10, 20))
    assert has_colour(sheet, (10, 250, 20))


@pytest.mark.parametrize("count", [1, 3, 9, 50])
def test_sheets_of_any_number_of_pages_are_drawn(count):
    plan = plan_crops([ImageSize(90, 120)] * count, geometry=SMALL, max_crops=50, policy="fill")
    sheet = draw_contact_sheet(plan)
    assert sheet.width >= 620
    assert sheet.height > 100


def test_unused_budget_is_grey():
    few = plan_crops([ImageSize(90, 120)], geometry=SMALL, max_crops=50)
    full = plan_crops([ImageSize(90, 120)] * 50, geometry=SMALL, max_crops=50)
    grey = (0xE3, 0xE6, 0xEB)

    def amount(plan):
        return int((np.asarray(draw_contact_sheet(plan)) == np.array(grey)).all(-1).sum())

    assert amount(few) > 5 * amount(full)


def test_a_plan_without_images_is_an_empty_sheet():
    assert draw_contact_sheet(plan_crops([], geometry=SMALL)).width == 620


def test_images_of_another_plan_are_refused():
    plan = plan_crops([ImageSize(90, 120)], geometry=SMALL)
    with pytest.raises(GeometryError):
        draw_contact_sheet(plan, [golden.synthetic(50, 50)])
