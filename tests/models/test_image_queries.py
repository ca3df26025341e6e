"""Networks that answer with queries: random weights as published, an answer of every layer, a backbone that learns."""

import pytest
import torch

pytest.importorskip("transformers")

from painted_pictures import PAINTED, paint_frame

from ps3d.models.image_detr import LOUDNESS, FrozenNormalization, thaw_backbone
from ps3d.models.image_queries import BUILDERS, QuerySizes

TINY = QuerySizes(32, 20, 8, 1, 2, 64, 256)


@pytest.mark.parametrize("name", BUILDERS)
def test_random_queries_differ_from_each_other(name):
    torch.manual_seed(0)
    side = {"side": 128} if name == "eomt" else {}
    model = BUILDERS[name](PAINTED, "tiny", TINY, **side)
    spreads = {
        key: value.std().item()
        for key, value in model.named_parameters()
        if key.endswith(("queries_embedder.weight", "query_position_embeddings.weight", "network.query.weight"))
    }
    assert spreads
    assert all(0.8 < spread < 1.2 for spread in spreads.values())


@pytest.mark.parametrize("name", BUILDERS)
def test_every_part_of_the_loss_is_one_number(name):
    torch.manual_seed(0)
    side = {"side": 128} if name == "eomt" else {}
    model = BUILDERS[name](PAINTED, "tiny", TINY, **side)
    losses = model.loss(model.collate([paint_frame(0)]))
    assert all(loss.shape == () and torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize("name", ["maskformer", "detr"])
def test_every_decoder_layer_has_an_answer_of_its_own(name):
    torch.manual_seed(0)
    model = BUILDERS[name](PAINTED, "tiny", TINY).eval()
    answers = model(model.collate([paint_frame(0)]))
    assert len(answers) == TINY.decoder
    classes = [answer.class_logits for answer in answers]
    assert not torch.allclose(classes[0], classes[1])
    # Queries are told apart from the first layer on: zeros before any layer would be the same answer for all.
    assert classes[0].std(dim=1).max() > 1e-3


def test_detr_learns_with_its_backbone_and_normalizes_random_weights():
    torch.manual_seed(0)
    model = BUILDERS["detr"](PAINTED, "tiny", TINY)
    backbone = model.network.detr.model.backbone.model
    sum(model.loss(model.collate([paint_frame(0)])).values()).backward()
    assert all(p.requires_grad and p.grad is not None for p in backbone.parameters())
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules())
    assert not any(type(module).__name__ == "DetrFrozenBatchNorm2d" for module in backbone.modules())


def test_a_pretrained_detr_keeps_its_stem_and_its_normalization(monkeypatch):
    import ps3d.models.image_detr as module

    monkeypatch.setattr(module, "load_network", lambda kind, config, weights: kind(config))
    model = BUILDERS["detr"](PAINTED, "tiny", TINY, weights="somewhere").train()
    backbone = model.network.detr.model.backbone.model
    kept = {name for name, p in backbone.named_parameters() if not p.requires_grad}
    assert all(
        name in kept for name, _ in backbone.named_parameters() if name.startswith(("embedder", "encoder.stages.0"))
    )
    assert "encoder.stages.1.layers.0.layer.0.convolution.weight" not in kept
    frozen = [m for m in backbone.modules() if isinstance(m, FrozenNormalization)]
    assert frozen
    assert not any(m.training for m in frozen)
    fresh = BUILDERS["detr"](PAINTED, "tiny", TINY)
    assert fresh.state_dict().keys() == model.state_dict().keys()
    thaw_backbone(backbone, is_pretrained=False)
    assert all(p.requires_grad for p in backbone.parameters())


def test_detrs_mask_head_tells_queries_apart_from_the_start():
    torch.manual_seed(0)
    weights = dict(BUILDERS["detr"](PAINTED, "tiny", TINY).named_parameters())
    filters = weights["network.mask_head.conv1.conv.weight"].detach()
    features, attention = filters[:, : TINY.width].std(), filters[:, TINY.width :].std()
    assert attention / features == pytest.approx(LOUDNESS, rel=0.1)
