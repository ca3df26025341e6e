"""Image networks: sizes as published, losses that stay finite on awkward pictures, predictions that fit the picture."""

import dataclasses

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from painted_pictures import DISC, PAINTED, paint_frame

from ps3d.datasets.kitti360_files import read_png
from ps3d.fusion import BoxFusion, fuse_boxes, fuse_centers, fuse_masks
from ps3d.metrics import OFFICIAL, count_panoptic
from ps3d.models import image_deeplab, image_queries, image_two_stage
from ps3d.models.image_backbones import build_backbone
from ps3d.models.image_batch import collate_images, segment_masks
from ps3d.models.image_deeplab import DeepLabLoss, DeepLabSizes, PanopticDeepLab, balance_classes, make_targets
from ps3d.models.image_maskformer import add_pixel_encoder
from ps3d.models.image_queries import BUILDERS, QuerySizes
from ps3d.models.image_two_stage import FcnMaskRcnn, PanopticFpn, TwoStageSizes
from ps3d.ops.boxes import box_iou, crop_features, decode_boxes, encode_boxes, suppress
from ps3d.structures import VOID, Category, Frame, Panoptic, Taxonomy

TINY = QuerySizes(32, 20, 8, 1, 2, 64, 256)


def build_tiny(name: str, taxonomy: Taxonomy = PAINTED) -> torch.nn.Module:
    torch.manual_seed(0)
    if name == "deeplab":
        return PanopticDeepLab(taxonomy, "tiny", DeepLabSizes(32, 32, 32, (16, 16), (16, 16), 16, (1, 2, 3)))
    if name == "deeplab_fine":
        sizes = DeepLabSizes(16, 16, 16, (16, 16, 8), (16, 16, 8), 8, (1, 2), is_dense=True, finer=2, unit=8.0)
        return PanopticDeepLab(taxonomy, "tiny", sizes, 32, loss_settings=image_deeplab.FINE_LOSS)
    if name in ("panoptic_fpn", "fcn_mask_rcnn"):
        build = PanopticFpn if name == "panoptic_fpn" else FcnMaskRcnn
        return build(taxonomy, "tiny", TwoStageSizes(32, 32, 64, 12.0, 50, 32, 32))
    side = {"side": 128} if name == "eomt" else {}
    return BUILDERS[name](taxonomy, "tiny", TINY, **side)


def millions(model: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in model.parameters()) / 1e6


def many_classes(count: int) -> Taxonomy:
    return Taxonomy("many", tuple(Category(f"class {i}", (i + 1,), i >= 11, (i, i, i)) for i in range(count)))


def queries(count: int) -> QuerySizes:
    return dataclasses.replace(image_queries.PAPER, queries=count)


PUBLISHED = [
    ("mask2former", "resnet50", 100, 44.0),
    ("mask2former", "resnet101", 100, 63.0),
    ("mask2former", "swin_tiny", 100, 47.4),
    ("mask2former", "swin_small", 100, 68.8),
    ("mask2former", "swin_base", 100, 107.0),
    ("mask2former", "swin_large", 200, 215.5),
    ("maskformer", "resnet50", 100, 45.0),
    ("maskformer", "resnet101", 100, 64.0),
    ("maskformer", "swin_tiny", 100, 42.0),
    ("maskformer", "swin_small", 100, 63.0),
    ("maskformer", "swin_base", 100, 102.0),
    ("maskformer", "swin_large", 100, 212.0),
    ("oneformer", "swin_large", 150, 219.0),
    ("detr", "resnet50", 100, 42.8),
    ("detr", "resnet101", 100, 61.84),
    ("eomt", "small", 200, 23.98),
    ("eomt", "base", 200, 93.66),
    ("eomt", "large", 200, 316.7),
]


@pytest.mark.parametrize(("name", "backbone", "count", "published"), PUBLISHED)
def test_parameters_of_the_papers_sizes_are_the_published_ones(name, backbone, count, published):
    with torch.device("meta"):
        model = BUILDERS[name](many_classes(133), backbone, queries(count))
    assert millions(model) == pytest.approx(published, rel=0.015)


def test_an_encoder_before_maskformers_pyramid_learns_and_is_seen_by_the_queries():
    torch.manual_seed(0)
    panoptic = BUILDERS["maskformer"](PAINTED, "tiny", TINY)
    model = add_pixel_encoder(panoptic.network, QuerySizes(32, heads=8, encoder=2, inner=64))
    batch = panoptic.collate([paint_frame(0), paint_frame(1, (70, 101))])
    sum(panoptic.loss(batch).values()).backward()
    encoder = model.model.pixel_level_module.encoder
    gradients = [p.grad for p in [*encoder.projection.parameters(), *encoder.layers.parameters()]]
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)
    assert sum(float(g.abs().sum()) > 0 for g in gradients) > len(gradients) // 2
    assert model.model.transformer_module.input_projection is None


def test_parameters_of_panoptic_deeplab_are_the_published_ones():
    with torch.device("meta"):
        model = PanopticDeepLab(many_classes(19), "resnet50", image_deeplab.PAPER)
    assert millions(model) == pytest.approx(29.97, rel=0.015)


def test_parameters_of_panoptic_fpn_are_the_published_ones():
    classes = tuple(Category(f"class {i}", (i + 1,), i < 80, (i, i, i)) for i in range(133))
    with torch.device("meta"):
        model = PanopticFpn(Taxonomy("coco", classes), "resnet50", image_two_stage.PAPER)
    assert millions(model) == pytest.approx(46.031, rel=0.015)


def test_parameters_of_fcn_and_mask_rcnn_are_those_torchvision_publishes():
    """fcn_resnet50 (21 classes, auxiliary head) 35 322 218; maskrcnn_resnet50_fpn (90 things) 44 401 393.

    The second leaves out the 53 120 weights of batch normalization, which are frozen there.
    """
    classes = tuple(Category(f"class {i}", (i + 1,), i < 90, (i, i, i)) for i in range(91))
    with torch.device("meta"):
        model = FcnMaskRcnn(Taxonomy("coco", classes), "resnet50", image_two_stage.PAPER)
        small = FcnMaskRcnn(many_classes(21), "resnet50", image_two_stage.PAPER)
    is_semantic = ("fcn_backbone.", "fcn.", "auxiliary.")
    of_things = sum(p.numel() for name, p in model.named_parameters() if not name.startswith(is_semantic))
    assert of_things == 44_401_393 + 53_120
    assert sum(p.numel() for name, p in small.named_parameters() if name.startswith(is_semantic)) == 35_322_218


def test_fcn_and_mask_rcnn_learn_one_picture():
    """The loss of a picture seen 40 times halves, and its merge finds most of it."""
    model = build_tiny("fcn_mask_rcnn")
    batch = model.collate([paint_frame(0, things=2)])
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    history = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = sum(model.loss(batch).values())
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert np.mean(history[-5:]) < np.mean(history[:5]) / 2
    model.eval()
    (prediction,) = model.predict(batch)
    assert prediction.size == (96, 128)
    found = fuse_boxes(prediction, PAINTED, BoxFusion(stuff_minimum=64))
    truth = paint_frame(0, things=2).truth["camera"]
    result = count_panoptic(truth, found, PAINTED, OFFICIAL["coco"]).result()
    assert result["pq"] > 0.5


NAMES = ["deeplab", "deeplab_fine", "panoptic_fpn", "fcn_mask_rcnn", *BUILDERS]


@pytest.mark.parametrize("name", NAMES)
def test_pictures_of_different_sizes_share_a_batch_and_come_back_in_their_own(name):
    frames = [paint_frame(0, (96, 128)), paint_frame(1, (70, 101)), paint_frame(2, (50, 60), things=0)]
    model = build_tiny(name)
    batch = model.collate(frames)
    losses = model.loss(batch)
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    model.eval()
    boxes = {"panoptic_fpn": fuse_boxes, "fcn_mask_rcnn": fuse_boxes}
    fuse = {"deeplab": fuse_centers, "deeplab_fine": fuse_centers, **boxes}.get(name, fuse_masks)
    for frame, prediction in zip(frames, model.predict(batch), strict=True):
        assert fuse(prediction, PAINTED).shape == frame.images["camera"].size


def relabel(frame: Frame, semantic: np.ndarray, instance: np.ndarray) -> Frame:
    return dataclasses.replace(frame, truth={"camera": Panoptic(semantic, instance)})


@pytest.mark.parametrize("name", NAMES)
def test_unlabeled_pictures_and_lone_crowds_have_finite_losses(name):
    frame = paint_frame(0)
    label = frame.truth["camera"]
    unlabeled = dataclasses.replace(frame, truth={})
    crowd = relabel(frame, np.where(label.instance > 0, DISC, VOID).astype(np.uint8), np.zeros_like(label.instance))
    model = build_tiny(name)
    for frames in ([unlabeled, unlabeled], [crowd, unlabeled], [crowd, frame]):
        losses = model.loss(model.collate(frames))
        assert all(torch.isfinite(loss) for loss in losses.values())
        sum(losses.values()).backward()


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_gives_finite_losses(name):
    model = build_tiny(name)
    batch = model.collate([paint_frame(0), paint_frame(1)])
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.loss(batch)
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_class_absent_from_training_does_no_harm(name):
    """The losses are finite, the network can still predict, and the class is left out of the mean quality."""
    absent = Category("unicorn", (9,), True, (250, 250, 250)), Category("lava", (10,), False, (250, 90, 0))
    taxonomy = Taxonomy("more", (*PAINTED.categories, *absent))
    model = build_tiny(name, taxonomy)
    frames = [paint_frame(0), paint_frame(1)]
    losses = model.loss(model.collate(frames))
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    model.eval()
    (prediction,) = model.predict(model.collate(frames[:1]))
    assert prediction.class_logits.shape[0 if prediction.class_logits.dim() == 3 else 1] >= len(taxonomy)
    truth = frames[0].truth["camera"]
    result = count_panoptic(truth, truth, taxonomy, OFFICIAL["coco"]).result()
    assert result["pq"] == pytest.approx(1.0)


@pytest.mark.parametrize("name", BUILDERS)
def test_logits_that_overflow_do_not_stop_the_matching(name):
    model = build_tiny(name)
    batch = model.collate([paint_frame(0)])
    respond = model.respond

    def overflow(network, pixels):
        answers = respond(network, pixels)
        answers[-1].mask_logits.data[:, :5] = float("inf")
        answers[-1].mask_logits.data[:, 5:7] = float("nan")
        return answers

    model.respond = overflow
    assert all(torch.isfinite(loss) for loss in model.loss(batch).values())


def test_segments_are_objects_and_whole_stuff_classes_and_no_crowds():
    frame = paint_frame(3, things=3)
    label = frame.truth["camera"]
    semantic, instance = label.semantic.copy(), label.instance.copy()
    instance[instance == 2] = 0  # a crowd
    batch = collate_images([relabel(frame, semantic, instance)])
    classes, masks = segment_masks(batch.semantic[0], batch.instance[0], PAINTED)
    expected = {(int(c), int(i)) for c, i in zip(semantic.ravel(), instance.ravel(), strict=True) if c != VOID}
    expected -= {(3, 0)}
    assert len(classes) == len(expected)
    assert masks.sum(0).max() == 1
    assert not masks[:, :2].any()


def test_targets_point_at_the_center_of_each_object():
    frame = paint_frame(3, things=3)
    batch = collate_images([frame])
    targets = make_targets(batch, PAINTED, DeepLabLoss())
    label = frame.truth["camera"]
    for number in np.unique(label.instance[label.instance > 0]):
        row, column = np.nonzero(label.instance == number)
        center = round(float(row.mean())), round(float(column.mean()))
        offset = targets.offsets[0, :, row[0], column[0]].tolist()
        assert abs(row[0] + offset[0] - center[0]) <= 1
        assert abs(column[0] + offset[1] - center[1]) <= 1
        assert targets.heat[0, center[0], center[1]] > 0.9
    assert not targets.offsets[0][:, label.instance == 0].any()


def test_wide_objects_have_wide_bells_and_tiny_ones_none():
    semantic, instance = np.zeros((64, 96), np.uint8), np.zeros((64, 96), np.int32)
    for number, (row, column, side) in enumerate(((20, 30, 25), (50, 70, 5), (10, 80, 2)), start=1):
        window = slice(row, row + side), slice(column, column + side)
        semantic[window], instance[window] = DISC, number
    frame = relabel(paint_frame(0, (64, 96)), semantic, instance)
    settings = dataclasses.replace(DeepLabLoss(), sigma=1.5, spread=0.12, smallest=8)
    targets = make_targets(collate_images([frame]), PAINTED, settings)
    is_object = targets.is_object[0].numpy()
    assert [bool(is_object[instance == number].all()) for number in (1, 2, 3)] == [True, True, False]
    assert targets.heat[0, 32, 42 + 3] == pytest.approx(np.exp(-0.5))  # 0.12 of 25 pixels
    assert targets.heat[0, 52, 72 + 3] == pytest.approx(np.exp(-2))
    assert not targets.heat[0, instance == 3].any()
    assert not targets.offsets[0][:, instance == 3].any()
    assert not targets.is_known[0].numpy()[instance == 3].any()


def test_the_fine_size_answers_for_every_second_row_and_column():
    model = build_tiny("deeplab_fine")
    logits, heat, offsets = model(model.collate([paint_frame(0, (96, 128))]))
    assert [tuple(map_.shape[2:]) for map_ in (logits, heat, offsets)] == [(48, 64)] * 3
    with pytest.raises(ValueError, match="convnext_tiny"):
        build_backbone("convnext_tiny", is_patched=True)


def test_balanced_classes_count_more_the_rarer_they_are_and_one_on_average():
    semantic = torch.zeros(1, 10, 10, dtype=torch.uint8)
    semantic[0, 0] = 1
    semantic[0, 1] = VOID
    weight = balance_classes(semantic, 0.5)
    assert float(weight[0, 0, 0] / weight[0, 5, 5]) == pytest.approx((80 / 10) ** 0.5)
    assert float(weight.sum() / 90) == pytest.approx(1)
    assert not weight[0, 1].any()
    assert (balance_classes(semantic, 0.0)[semantic != VOID] == 1).all()
    assert not balance_classes(torch.full_like(semantic, VOID), 0.2).any()


def test_targets_are_those_of_deeplab2(samples):
    """Centers, offsets' and classes' weights of its own unit test: trainId * 1000 + number, 65535 = void."""
    folder = samples / "deeplab2_testdata" / "targets"
    published = {name: read_png(folder / f"{name}.png") for name in ("center_target", "center_weights")}
    published |= {name: read_png(folder / f"{name}.png") for name in ("offset_weights", "semantic_weights")}
    truth = read_png(folder / "panoptic_target.png").astype(np.int32)
    semantic = np.where(truth == 65535, VOID, truth // 1000).astype(np.uint8)
    instance = np.where(truth == 65535, 0, truth % 1000).astype(np.int32)
    frame = relabel(paint_frame(0, semantic.shape), semantic, instance)
    rows, columns = semantic.shape
    targets = make_targets(collate_images([frame]), many_classes(19), DeepLabLoss())
    heat = targets.heat[0, :rows, :columns].numpy()
    assert np.abs(heat - published["center_target"] / 255).max() < 0.005  # published as 8 bits
    assert ((published["offset_weights"] > 0) == targets.is_object[0, :rows, :columns].numpy()).all()
    assert ((published["center_weights"] > 0) == targets.is_known[0, :rows, :columns].numpy()).all()
    np.testing.assert_allclose(targets.weight[0, :rows, :columns].numpy(), published["semantic_weights"] / 85)


@pytest.mark.parametrize("name", ["tiny", "convnext_tiny", "swin_tiny"])
def test_backbones_give_four_maps(name):
    with torch.device("meta"):
        backbone, channels = build_backbone(name)
        maps = backbone(torch.zeros(1, 3, 64, 96)).feature_maps
    assert [m.shape[1] for m in maps] == channels
    assert [m.shape[2] for m in maps] == [16, 8, 4, 2]


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v3_small", "mobilenet_v3_large", "dinov2_small"])
def test_adapted_backbones_give_four_maps_to_a_network(name):
    torch.manual_seed(0)
    backbone, channels = build_backbone(name)
    with torch.inference_mode():
        maps = backbone.eval()(torch.rand(1, 3, 64, 96)).feature_maps
    assert [tuple(m.shape[1:]) for m in maps] == [
        (c, 64 // s, 96 // s) for c, s in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    assert all(torch.isfinite(m).all() for m in maps)
    with torch.device("meta"):
        model = PanopticDeepLab(PAINTED, name, DeepLabSizes(32, 32, 32, (16, 16), (16, 16), 16, (1, 2, 3)), 32)
    assert model.backbone.channels == channels
    with pytest.raises(KeyError, match="panoptic_fpn"):
        BUILDERS["mask2former"](PAINTED, name, TINY)


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("efficientnet_b0", 5.289 - 1.281 - 0.412),  # without the classifier and the convolution before it
        ("efficientnet_b5", 27.29),
        ("mobilenet_v3_small", 2.542856 - 1.615848),
        ("mobilenet_v3_large", 5.483032 - 2.51108),
    ],
)
def test_parameters_of_adapted_backbones_are_the_published_ones(name, published):
    with torch.device("meta"):
        backbone, _ = build_backbone(name)
    assert millions(backbone) == pytest.approx(published, rel=0.002)


def test_parameters_of_dinov2_are_the_published_ones():
    with torch.device("meta"):
        sizes = [millions(build_backbone(f"dinov2_{size}")[0].network) for size in ("small", "base", "large")]
    assert sizes == pytest.approx([22.06, 86.58, 304.37], rel=0.001)


def test_an_unknown_backbone_is_answered_with_the_known_ones():
    with pytest.raises(KeyError, match="resnet50"):
        build_backbone("resnet51")
    with pytest.raises(ValueError, match="ResNets"):
        build_backbone("swin_tiny", output_stride=16)
    with pytest.raises(FileNotFoundError, match="no folder"):
        build_backbone("tiny", weights="/nowhere")


def test_a_frame_without_exactly_one_picture_is_refused():
    frame = dataclasses.replace(paint_frame(0), images={})
    with pytest.raises(ValueError, match="0 pictures"):
        collate_images([frame])


def test_steps_between_boxes_lead_there_and_back():
    reference = torch.tensor([[10.0, 20.0, 50.0, 40.0], [0.0, 0.0, 5.0, 9.0]])
    boxes = torch.tensor([[12.0, 18.0, 40.0, 44.0], [1.0, 2.0, 3.0, 30.0]])
    again = decode_boxes(reference, encode_boxes(reference, boxes, (10.0, 5.0)), (10.0, 5.0))
    torch.testing.assert_close(again, boxes)


def test_the_surest_of_overlapping_boxes_stays_within_each_group():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1.0, 0, 11, 10], [1.0, 0, 11, 10], [50.0, 50, 60, 60]])
    scores, group = torch.tensor([0.5, 0.9, 0.8, 0.1]), torch.tensor([0, 0, 1, 0])
    assert suppress(boxes, scores, group, 0.5).tolist() == [1, 2, 3]
    assert suppress(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5).tolist() == []
    assert box_iou(boxes[:1], boxes[1:2]).item() == pytest.approx(90 / 110)


def test_cropped_features_of_a_ramp_are_the_ramp():
    """RoIAlign is exact on linear features: each cell gets the value at its center."""
    ramp = (torch.arange(32).float() + 0.5).expand(1, 32, 32)
    crop = crop_features(4 * ramp, torch.tensor([[20.0, 8.0, 76.0, 64.0]]), 4.0, 7)
    torch.testing.assert_close(crop[0, 0, 0], 20 + 8 * (torch.arange(7) + 0.5))


def test_pretrained_weights_are_a_folder_or_a_model_that_the_hub_has_left_on_this_machine(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    torch.manual_seed(0)
    backbone, _ = build_backbone("tiny")
    commit = "0" * 40
    model = tmp_path / "hub" / "models--somebody--tiny"
    backbone.save_pretrained(model / "snapshots" / commit)  # type: ignore[operator]
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    for name in ("somebody/tiny", str(model / "snapshots" / commit)):
        again, _ = build_backbone("tiny", name)
        assert torch.equal(again.embedder.embedder.convolution.weight, backbone.embedder.embedder.convolution.weight)
    with pytest.raises(ValueError, match="not the weights of 'small'"):
        build_backbone("small", "somebody/tiny")
    for name in ("somebody/other", "/nonexistent/folder", "not a name"):
        with pytest.raises(FileNotFoundError, match="hf download"):
            build_backbone("tiny", name)
