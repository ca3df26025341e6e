"""Where the objects of a video came from: the paths of their masks, drawn over the picture."""

from collections import deque

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from ps3d.structures import Panoptic, Taxonomy
from ps3d.visualization.object_index import objects


class ImageTrails:
    """Paths of the centers of tracked masks. In scans see `ps3d.visualization.boxes.Trails`."""

    def __init__(self, length: int = 30) -> None:
        """
        Args:
            length: frames to look back.
        """
        self.length = length
        self._paths: dict[int, deque[tuple[int, float, float]]] = {}
        self._now = 0

    def draw(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        tracked: Panoptic,
        taxonomy: Taxonomy,
        colors: UInt8[np.ndarray, "colors 3"],
        width: int = 3,
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Enter the masks of the next picture and draw the paths of those that are in it.

        Args:
            tracked: labels of the picture whose instances are track numbers.
            colors: track n has color n modulo their number.
        """
        self._now += 1
        number = np.where(objects(tracked, taxonomy) > 0, tracked.instance, 0)
        rows, columns = np.nonzero(number)
        owner = number[rows, columns]
        size = np.bincount(owner)
        row = np.bincount(owner, weights=rows) / np.maximum(size, 1)
        column = np.bincount(owner, weights=columns) / np.maximum(size, 1)
        canvas = Image.fromarray(image)
        pen = ImageDraw.Draw(canvas)
        for track in np.flatnonzero(size).tolist():
            path = self._paths.setdefault(track, deque(maxlen=self.length))
            path.append((self._now, float(column[track]), float(row[track])))
            points = [(x, y) for when, x, y in path if when > self._now - self.length]
            red, green, blue = colors[track % len(colors)].tolist()
            if len(points) > 1:
                pen.line(points, fill=(red, green, blue), width=width, joint="curve")
            x, y = points[-1]
            pen.ellipse([x - width, y - width, x + width, y + width], fill=(red, green, blue))
        over = [track for track, path in self._paths.items() if path[-1][0] <= self._now - self.length]
        for track in over:
            del self._paths[track]
        return np.asarray(canvas)
