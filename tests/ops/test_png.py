"""The encoder against Pillow's decoder."""

import io

import numpy as np
import pytest
from PIL import Image

from ps3d.ops.png import encode_png


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (3, 4, 3)])
def test_decoded_pixels_are_those_that_were_encoded(shape, dtype):
    if len(shape) == 3 and dtype == np.uint16:
        pytest.skip("pictures have 8 bits")
    pixels = np.random.default_rng(3).integers(0, np.iinfo(dtype).max, shape, endpoint=True).astype(dtype)
    for view in (pixels, pixels[::-1]):
        decoded = np.asarray(Image.open(io.BytesIO(encode_png(view))))
        np.testing.assert_array_equal(decoded, view)
