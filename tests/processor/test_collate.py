import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from leopard.errors import ConfigError
from leopard.processor.collate import group_by_length, pack_examples, pad_examples


def example(length, crops=0, first_is_answer=False):
    labels = torch.full((length,), -100)
    labels[-1] = 7
    if first_is_answer:
        labels[0] = 9
    made = {
        "input_ids": torch.arange(1, length + 1),
        "labels": labels,
        "loss_mask": labels != -100,
        "num_crops": torch.tensor([crops] if crops else [], dtype=torch.int64),
    }
    if not crops:
        return made
    pixels = torch.full((crops, 3, 2, 2), float(crops))
    return {**made, "pixel_values": pixels, "grids": torch.tensor([[1, crops - 1]])}


def test_examples_are_padded_on_the_right_to_a_multiple():
    batch = pad_examples([example(3), example(5, crops=2)], pad_token_id=0)
    assert batch["grids"].tolist() == [[1, 1]]
    assert batch["input_ids"].tolist() == [[1, 2, 3, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 0, 0, 0]]
    assert batch["attention_mask"].sum(1).tolist() == [3, 5]
    assert batch["labels"][0].tolist() == [-100, -100, 7, *[-100] * 5]
    assert batch["loss_mask"].sum().item() == 2
    assert batch["num_crops"].tolist() == [2]
    assert batch["pixel_values"].shape == (2, 3, 2, 2)


def test_a_batch_without_images_has_no_pixels():
    assert "pixel_values" not in pad_examples([example(3)], pad_token_id=0, multiple_of=1)


def test_packed_examples_keep_positions_of_their_own():
    batch = pack_examples(
        [example(3, crops=1), example(2, first_is_answer=True)], pad_token_id=0, multiple_of=4
    )
    assert batch["input_ids"].tolist() == [[1, 2, 3, 1, 2, 0, 0, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0, 1, 2]]
    assert batch["labels"].tolist() == [[-100, -100, 7, -100, 7, -100, -100, -100]]
    assert batch["loss_mask"].tolist() == [(batch["labels"][0] != -100).tolist()]
    assert batch["num_crops"].tolist() == [1]


def test_packing_leaves_the_examples_as_they_were():
    first = example(3, first_is_answer=True)
    pack_examples([first], pad_token_id=0)
    assert first["labels"][0] == 9
    assert first["loss_mask"][0]


@pytest.mark.parametrize("collate", [pad_examples, pack_examples])
def test_nothing_makes_no_batch(collate):
    with pytest.raises(ConfigError, match="at least one example"):
        collate([], pad_token_id=0)
    with pytest.raises(ConfigError, match="multiple_of is 0"):
        collate([example(2)], pad_token_id=0, multiple_of=0)


def test_groups_fill_rows_largest_first():
    assert group_by_length([5, 9, 4, 1, 6], 10) == [[0], [1, 3], [2, 4]]
    assert group_by_length([], 10) == []


def test_an_example_longer_than_a_row_is_refused():
    with pytest.raises(ConfigError, match="example 1 has 11 tokens but a row holds 10"):
        group_by_length([3, 11], 10)


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(50, 90))
@settings(deadline=None, max_examples=40)
def test_every_example_is_in_one_row_that_holds_it(lengths, room):
    rows = group_by_length(lengths, room)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= room for row in rows)
