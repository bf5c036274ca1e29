"""A step in packed passes is the step of the model's own loss over one padded batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from leopard.curation.pixels import draw
from leopard.processor.collate import pad_examples
from leopard.training.feed import Feed, StepPlanner
from leopard.training.stepping import Stepper
from leopard.training.trainer import Trainer
from leopard.training.world import World
from tests.training.test_trainer import make


def test_loss_gradient_and_update_are_those_of_a_plain_padded_batch(
    tmp_path: Path, tiny_model_folder: Path, shards: Path
) -> None:
    settings = make(
        tmp_path / "run", tiny_model_folder, shards, optimizer={"clip_norm": 0.01, "eps": 1e-3}
    )
    ours, plain = (
        Trainer(settings.model_copy(update={"out": tmp_path / name}), World(), draw=draw)
        for name in ("ours", "plain")
    )
    planner = StepPlanner(ours.sources, ours.encoder, settings)
    ((plan, passes),) = Feed(planner, settings, range(1))
    assert len(plan.passes[0]) > 1
    stepper = Stepper(ours.model, ours.updater, settings, World())
    sums = stepper.run(plan, passes, factor=1.0)

    examples = []
    for pick in plan.picks:
        source = plain.sources[pick.source]
        record = source.record(pick.row)
        examples.append(plain.encoder.encode(record.messages, source.images(pick.row)))
    batch = pad_examples(examples, pad_token_id=plain.encoder.processor.pad_token_id)
    del batch["loss_mask"], batch["num_crops"]
    plain.model.set_attn_implementation("sdpa")
    loss = plain.model(**batch, use_cache=False).loss
    loss.backward()
    learning = [p for p in plain.model.parameters() if p.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(learning, 0.01)
    torch.optim.AdamW(learning, lr=1e-3, eps=1e-3, weight_decay=0.0).step()

    assert sums.loss == pytest.approx(float(loss.detach()), rel=1e-5)
    assert sums.grad_norm == pytest.approx(float(norm), rel=1e-4)
    for (name, one), other in zip(
        ours.model.named_parameters(), plain.model.parameters(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6, msg=name)
