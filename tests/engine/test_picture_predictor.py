"""Tests of a picture's way through a network: shrunk, predicted, merged in its own size."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))

from painted_pictures import BOX, GROUND, PAINTED, SKY, paint_frame

from ps3d.engine.image_config import ImageModelSettings, PictureFusion
from ps3d.engine.image_models import PicturePredictor
from ps3d.models.image_batch import ImageBatch, collate_images
from ps3d.structures import BoxPrediction


class OneBox(nn.Module):
    """Says that the lower right quarter of every picture is one box, and the rest ground."""

    taxonomy = PAINTED

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def collate(self, frames):
        return collate_images(frames)

    def predict(self, batch: ImageBatch) -> list[BoxPrediction]:
        predictions = []
        for height, width in batch.pictures:
            logits = torch.zeros(len(PAINTED), height // 4, width // 4)
            logits[GROUND], logits[SKY] = 2, 1
            box = torch.tensor([[width / 2, height / 2, width, height]])
            masks, classes = torch.full((1, 28, 28), 5.0), torch.tensor([BOX])
            predictions.append(BoxPrediction(logits, torch.ones(1), classes, box, masks, (height, width)))
        return predictions


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_boxes_lie_where_they_were_found_whatever_size_the_network_sees(scale: float) -> None:
    settings = ImageModelSettings("panoptic_fpn", "tiny", scale=scale)
    label = PicturePredictor(OneBox(), settings, PictureFusion(stuff_minimum=0))(paint_frame(0, (64, 96)))
    assert (label.semantic[32:, 48:] == BOX).all()
    assert (label.semantic == BOX).sum() == 32 * 48
    assert (label.semantic[:32] == GROUND).all()
