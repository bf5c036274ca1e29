import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leopard.cli._served import tiles_planner
from leopard.processor.crops import plan_crops
from leopard.processor.settings import ProcessorSettings
from leopard.schema.geometry import ImageSize
from leopard.schema.pages import Page
from leopard.serving.planning import PromptPlan, tile_boxes, view_pages

sides = st.integers(1, 3000)


@settings(deadline=None)
@given(st.lists(st.builds(ImageSize, sides, sides), min_size=1, max_size=5))
def test_tiles_cover_each_page_once(sizes):
    for image in plan_crops(sizes).images:
        boxes = tile_boxes(image)
        assert len(boxes) == image.num_tiles
        if not boxes:
            continue
        area = sum((box.right - box.left) * (box.bottom - box.top) for box in boxes)
        assert area == pytest.approx(1)
        assert min(box.left for box in boxes) == min(box.top for box in boxes) == 0
        assert max(box.right for box in boxes) == max(box.bottom for box in boxes) == 1


def pages(count, size=(700, 900)):
    return [Page(Image.new("RGB", size), "a.pdf", number, count) for number in range(1, count + 1)]


def test_view_agrees_with_the_plan():
    found = pages(3)
    plan = tiles_planner(ProcessorSettings())([page.size for page in found])
    view = view_pages(found, plan)
    assert view.crops == plan.crops.num_crops
    assert view.visual_tokens == plan.crops.visual_tokens
    assert [page.visual_tokens for page in view.pages] == list(plan.crops.visual_tokens_per_image)
    assert sum(page.share for page in view.pages) == pytest.approx(1)


def test_pages_left_out_are_shown_as_such():
    found = pages(5)
    settings = ProcessorSettings(max_crops=3, on_too_many_images="uniform")
    view = view_pages(found, tiles_planner(settings)([page.size for page in found]))
    assert [page.crops > 0 for page in view.pages] == [True, False, True, False, True]
    assert [page.share > 0 for page in view.pages] == [True, False, True, False, True]


def test_whole_images_have_tokens_and_no_tiles():
    view = view_pages(pages(2), PromptPlan(None, range(2), tokens_per_page=64))
    assert (view.crops, view.visual_tokens) == (2, 128)
    assert [page.tiles for page in view.pages] == [[], []]
