"""Where benchmarks keep truth and predictions, and how a frame of each becomes an overlap table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ps3d.datasets.kitti360_files import read_png
from ps3d.datasets.kitti360_labels import KITTI360_IMAGE, KITTI360_SCAN
from ps3d.datasets.object_scores import read_scores, scores_path
from ps3d.datasets.panoptic_folder import read_classes, read_own_label
from ps3d.datasets.panoptic_png import read_step
from ps3d.datasets.picture_opening import open_pictures
from ps3d.datasets.picture_sequence import PictureSequence
from ps3d.datasets.semantic_kitti import SEMANTIC_KITTI
from ps3d.metrics import coco_files
from ps3d.metrics.rules import Rules, find_rules
from ps3d.metrics.segments import (
    CROWD,
    SegmentOverlap,
    describe_raw,
    describe_thousands,
    index_overlap,
    panoptic_overlap,
)
from ps3d.ops.overlap import count_overlap
from ps3d.ops.paths import existing_path
from ps3d.structures import VOID, Category, Taxonomy

UNKNOWN = VOID + 1
"""In a table of classes: a raw id that the taxonomy does not have."""


@dataclass(frozen=True)
class FramePair:
    """One frame to score.

    Attributes:
        sequence, frame: names; frames of a sequence come in the order of time.
        truth, prediction: what the benchmark's `read` needs, usually two files.
        entry: of COCO's JSON files.
        position: in the sequence, of data sets that are read as `ps3d.structures.Sequence`.
    """

    sequence: str
    frame: str
    truth: Path
    prediction: Path
    entry: coco_files.CocoPair | None = None
    position: int = -1


@dataclass(frozen=True)
class Benchmark:
    """How one benchmark is read and scored.

    Attributes:
        taxonomy: its classes, or what reads them at the path of the truth (COCO's JSON, an own folder).
        rules: key of `OFFICIAL` and `STRICT`.
        find: frames of a truth and a prediction path.
        read: one frame's overlap table.
        metrics: scored where none are named.
    """

    taxonomy: Taxonomy | Callable[[Path], Taxonomy]
    rules: str
    find: Callable[[Path, Path], list[FramePair]]
    read: Callable[[FramePair, Taxonomy, Rules], SegmentOverlap]
    metrics: tuple[str, ...]


def pair_files(truth: dict[tuple[str, str], Path], prediction: dict[tuple[str, str], Path]) -> list[FramePair]:
    """Pair files by (sequence, frame).

    Raises:
        ValueError: a missing or a surplus frame; names the first ones.
    """
    for wanted, found, what, remedy in (
        (truth, prediction, "no prediction of", "predict them, or leave the sequence out of the truth"),
        (prediction, truth, "no truth for the prediction of", "remove them"),
    ):
        lost = sorted(wanted.keys() - found.keys())
        if lost:
            sequence, frame = lost[0]
            more = f" and {len(lost) - 1} more frames" if len(lost) > 1 else ""
            raise ValueError(
                f"{what} sequence {sequence}, frame {frame} ({wanted[lost[0]]}){more}; {remedy}. "
                f"{len(truth)} true and {len(prediction)} predicted frames in all"
            )
    return [FramePair(*key, truth[key], prediction[key]) for key in sorted(truth)]


def find_labels(root: Path, patterns: Iterable[str], suffix: str = ".label") -> dict[tuple[str, str], Path]:
    """Files `<sequence>/<folder>/<frame><suffix>` by (sequence, frame), by the first pattern that finds any.

    Args:
        patterns: folders relative to the root, with one `*` for the sequence.

    Raises:
        FileNotFoundError: none of the patterns finds a file.
    """
    patterns = tuple(patterns)
    for pattern in patterns:
        place = pattern.split("/").index("*") - len(pattern.split("/"))
        files = root.glob(f"{pattern}/*{suffix}")
        found = {(path.parts[place - 1], path.stem): path for path in files}
        if found:
            return found
    tried = ", ".join(f"{pattern}/*{suffix}" for pattern in patterns)
    raise FileNotFoundError(f"{root}: no label files; looked for {tried}")


def _find_semantic_kitti(truth: Path, prediction: Path) -> list[FramePair]:
    true = find_labels(truth, ("sequences/*/labels", "*/labels", "dataset/sequences/*/labels"))
    places = ("sequences/*/predictions", "*/predictions", "sequences/*/labels", "*/labels")
    predicted = find_labels(prediction, places)
    sequences = {sequence for sequence, _ in predicted}
    # A root has all sequences, a prediction often only those of the validation split.
    true = {key: path for key, path in true.items() if key[0] in sequences}
    return pair_files(true, predicted)


def _find_kitti360(truth: Path, prediction: Path) -> list[FramePair]:
    places = ("ps3d_truth/*/velodyne_points/labels", "*/velodyne_points/labels", "*/labels")
    predicted = find_labels(prediction, ("*/labels", "*/velodyne_points/labels", "sequences/*/labels"))
    sequences = {sequence for sequence, _ in predicted}
    true = {key: path for key, path in find_labels(truth, places).items() if key[0] in sequences}
    return pair_files(true, predicted)


def _find_named(suffix: str, truth: Path, prediction: Path) -> list[FramePair]:
    """Files of the same name in both folders; the folder of a file is its sequence."""
    sides = []
    for root in (truth, prediction):
        files = sorted(root.rglob(f"*{suffix}"))
        if not files:
            raise FileNotFoundError(f"{root}: no files *{suffix}")
        sides.append({(path.parent.name if path.parent != root else "", path.stem): path for path in files})
    return pair_files(*sides)


def _find_coco(truth: Path, prediction: Path) -> list[FramePair]:
    """A JSON file of each side with the PNGs in the folder beside it; the video of an image is its sequence."""
    videos = coco_files.read_videos(truth)
    pairs = list(coco_files.pair_images(truth, prediction))
    return [FramePair(videos.get(p.name, ""), p.name, p.truth_png, p.prediction_png, p) for p in pairs]


@lru_cache
def class_table(taxonomy: Taxonomy) -> np.ndarray:
    """Class of each 16-bit raw id: a class id, VOID, or UNKNOWN."""
    table = np.full(65536, UNKNOWN, np.int64)
    table[[raw & 0xFFFF for raw in taxonomy.void_raw_ids]] = VOID
    for class_id, category in enumerate(taxonomy.categories):
        table[list(category.raw_ids)] = class_id
    return table


def _checked(describe: Callable, where: FramePair, path: Path, labels: np.ndarray, area: np.ndarray):
    segments = describe(labels, area)
    if (segments.semantic == UNKNOWN).any():
        unknown = np.unique(labels[segments.semantic == UNKNOWN] & 0xFFFF)
        raise ValueError(
            f"{path}: sequence {where.sequence}, frame {where.frame}: label ids {unknown[:10].tolist()} are not in the "
            "taxonomy; write ids of the data set"
        )
    return segments


def _read_label_files(pair: FramePair, taxonomy: Taxonomy, rules: Rules) -> SegmentOverlap:
    sides = []
    for path in (pair.truth, pair.prediction):
        if path.stat().st_size % 4:
            raise ValueError(f"{path}: {path.stat().st_size} bytes are no whole labels; the file is cut off")
        sides.append(np.fromfile(path, "<u4"))
    truth, prediction = sides
    if len(truth) != len(prediction):
        raise ValueError(
            f"{pair.prediction}: sequence {pair.sequence}, frame {pair.frame}: {len(prediction)} labels, the truth "
            f"({pair.truth}) has {len(truth)}"
        )
    describe = partial(describe_raw, class_table(taxonomy))
    return index_overlap(
        count_overlap(truth, prediction),
        partial(_checked, describe, pair, pair.truth),
        partial(_checked, describe, pair, pair.prediction),
    )


NUSCENES_CLASSES = {
    "barrier": (9,),
    "bicycle": (14,),
    "bus": (15, 16),
    "car": (17,),
    "construction_vehicle": (18,),
    "motorcycle": (21,),
    "pedestrian": (2, 3, 4, 6),
    "traffic_cone": (12,),
    "trailer": (22,),
    "truck": (23,),
    "driveable_surface": (24,),
    "other_flat": (25,),
    "sidewalk": (26,),
    "terrain": (27,),
    "manmade": (28,),
    "vegetation": (30,),
}
NUSCENES = Taxonomy(
    "nuscenes",
    tuple(Category(name, raw, i < 10, (128, 128, 128)) for i, (name, raw) in enumerate(NUSCENES_CLASSES.items())),
    void_raw_ids=(0, 1, 5, 7, 8, 10, 11, 13, 19, 20, 29, 31),
)
"""The 16 challenge classes by the fine ids of the truth; predictions have the class ids 1..16."""


def _read_nuscenes(pair: FramePair, taxonomy: Taxonomy, rules: Rules) -> SegmentOverlap:
    truth, prediction = (np.load(path)["data"] for path in (pair.truth, pair.prediction))
    if len(truth) != len(prediction):
        raise ValueError(f"{pair.prediction}: {len(prediction)} labels, the truth ({pair.truth}) has {len(truth)}")
    coarse = np.full(66, UNKNOWN)
    coarse[: len(taxonomy) + 1] = [VOID, *range(len(taxonomy))]
    return index_overlap(
        count_overlap(truth, prediction),
        partial(_checked, partial(describe_thousands, class_table(taxonomy)), pair, pair.truth),
        partial(_checked, partial(describe_thousands, coarse), pair, pair.prediction),
    )


CITYSCAPES_NAMES = (
    "road sidewalk building wall fence pole traffic_light traffic_sign vegetation terrain sky person rider car truck "
    "bus train motorcycle bicycle"
)
KITTI_STEP = Taxonomy(
    "kitti_step",
    tuple(
        Category(name.replace("_", " "), (i,), name in ("person", "car"), (128, 128, 128))
        for i, name in enumerate(CITYSCAPES_NAMES.split())
    ),
    void_raw_ids=(255,),
)


def _read_step(pair: FramePair, taxonomy: Taxonomy, rules: Rules) -> SegmentOverlap:
    """KITTI-STEP: red is the class, green and blue the high and low byte of the instance."""
    sides = []
    for path in (pair.truth, pair.prediction):
        rgb = read_png(path).astype(np.uint32)
        sides.append(rgb[..., 1] << 24 | rgb[..., 2] << 16 | rgb[..., 0])
    _check_size(pair, *sides)
    return _raw_images(pair, taxonomy, *sides)


def _read_kitti360_images(pair: FramePair, taxonomy: Taxonomy, rules: Rules) -> SegmentOverlap:
    """KITTI-360's instance PNGs: label id * 1000 + number, in 16 bits."""
    sides = []
    for path in (pair.truth, pair.prediction):
        packed = read_png(path).astype(np.uint32)
        sides.append(packed % 1000 << 16 | packed // 1000)
    _check_size(pair, *sides)
    return _raw_images(pair, taxonomy, *sides)


def _raw_images(pair: FramePair, taxonomy: Taxonomy, truth: np.ndarray, prediction: np.ndarray) -> SegmentOverlap:
    describe = partial(describe_raw, class_table(taxonomy))
    return index_overlap(
        count_overlap(truth, prediction),
        partial(_checked, describe, pair, pair.truth),
        partial(_checked, describe, pair, pair.prediction),
    )


def _check_size(pair: FramePair, truth: np.ndarray, prediction: np.ndarray) -> None:
    if truth.shape != prediction.shape:
        raise ValueError(f"{pair.prediction}: {prediction.shape} pixels, the truth ({pair.truth}) has {truth.shape}")


def _read_coco(pair: FramePair, taxonomy: Taxonomy, rules: Rules) -> SegmentOverlap:
    assert pair.entry is not None
    return coco_files.read_overlap(pair.entry, taxonomy, rules)


def _find_own(truth: Path, prediction: Path) -> list[FramePair]:
    """Labels of an own folder of pictures and of `tools/predict.py`; sequences without a prediction are left out."""
    predicted = find_labels(prediction, ("*/labels",), ".png")
    sequences = {sequence for sequence, _ in predicted}
    true = {key: path for key, path in find_labels(truth, ("*/labels",), ".png").items() if key[0] in sequences}
    labeled = {sequence for sequence, _ in true}
    # Pictures without a label are predicted too.
    return pair_files(true, {key: path for key, path in predicted.items() if key in true or key[0] not in labeled})


def _read_own(pair: FramePair, taxonomy: Taxonomy, rules: Rules) -> SegmentOverlap:
    """Red is the class, green and blue the instance; true things without a number are crowds.

    Raises:
        ValueError: scores beside the prediction that leave an object out.
    """
    return _with_crowds(_with_scores(_read_step(pair, taxonomy, rules), pair, taxonomy), taxonomy)


def _with_crowds(overlap: SegmentOverlap, taxonomy: Taxonomy) -> SegmentOverlap:
    """The same table, in which true things without a number are crowds."""
    truth = overlap.truth
    is_thing = np.append(taxonomy.is_thing, np.zeros(UNKNOWN + 1 - len(taxonomy), bool))[truth.semantic]
    kind = np.where(is_thing & (truth.instance == 0), CROWD, truth.kind).astype(np.int8)
    return replace(overlap, truth=replace(truth, kind=kind))


def _with_scores(overlap: SegmentOverlap, pair: FramePair, taxonomy: Taxonomy) -> SegmentOverlap:
    """The same table with the scores that lie beside the prediction; pictures without objects have none."""
    scores = read_scores(pair.prediction)
    if scores is None:
        return overlap
    prediction = overlap.prediction
    is_object = np.isin(prediction.semantic, taxonomy.thing_ids()) & (prediction.instance > 0)
    if lost := sorted(set(prediction.instance[is_object].tolist()) - scores.keys()):
        raise ValueError(f"{scores_path(pair.prediction)}: no score of objects {lost[:5]}; predict the picture again")
    score = np.array([scores.get(number, 0.0) for number in prediction.instance.tolist()])
    return replace(overlap, prediction=replace(prediction, score=score))


@lru_cache(maxsize=2)
def _open_data(root: Path) -> dict[str, PictureSequence]:
    """Sequences by name of whatever data set of pictures lies there; videos have no truth."""
    return {drive.name: drive for drive in open_pictures(root) if isinstance(drive, PictureSequence)}


def _read_data_classes(root: Path) -> Taxonomy:
    return next(iter(_open_data(root).values())).taxonomy


def _find_pictures(truth: Path, prediction: Path) -> list[FramePair]:
    """Pictures of a data set for which `tools/predict.py` wrote labels, sequence after sequence in the order of time.

    Raises:
        ValueError: labels of other pictures, or none of a picture of a sequence that is predicted otherwise.
    """
    predicted, pairs = find_labels(prediction, ("*/labels",), ".png"), []
    drives = {name: drive for name, drive in _open_data(truth).items() if any(name == key[0] for key in predicted)}
    for name, drive in drives.items():
        for position in range(len(drive)):
            frame = drive.files[position].stem
            if (name, frame) not in predicted:
                raise ValueError(f"no prediction of sequence {name}, frame {frame}; predict the whole sequence")
            pairs.append(FramePair(name, frame, truth, predicted[name, frame], position=position))
    if len(pairs) < len(predicted):
        known = {(pair.sequence, pair.frame) for pair in pairs}
        lost = sorted(predicted.keys() - known)
        raise ValueError(f"{predicted[lost[0]]}: {truth} has no such picture ({len(lost)} of this kind); remove them")
    return pairs


def _read_pictures(pair: FramePair, taxonomy: Taxonomy, rules: Rules) -> SegmentOverlap:
    """Any data set's truth beside a label in the step encoding; a picture without truth is void."""
    truths = list(_open_data(pair.truth)[pair.sequence][pair.position].truth.values())
    label = read_step(pair.prediction)
    truth = truths[0] if truths else replace(label, semantic=np.full_like(label.semantic, VOID))
    label = read_own_label(pair.prediction, taxonomy, truth.shape)
    overlap = panoptic_overlap(truth, label, str(pair.prediction))
    return _with_crowds(_with_scores(overlap, pair, taxonomy), taxonomy)


_COCO = Benchmark(coco_files.read_taxonomy, "coco", _find_coco, _read_coco, ("pq",))
BENCHMARKS: dict[str, Benchmark] = {
    "semantic_kitti": Benchmark(SEMANTIC_KITTI, "semantic_kitti", _find_semantic_kitti, _read_label_files, ("pq",)),
    "kitti360": Benchmark(KITTI360_SCAN, "kitti360", _find_kitti360, _read_label_files, ("pq",)),
    "kitti360_images": Benchmark(
        KITTI360_IMAGE, "kitti360", partial(_find_named, ".png"), _read_kitti360_images, ("pq",)
    ),
    "nuscenes": Benchmark(NUSCENES, "nuscenes", partial(_find_named, ".npz"), _read_nuscenes, ("pq",)),
    "coco": _COCO,
    "cityscapes": replace(_COCO, rules="cityscapes"),
    "vps": replace(_COCO, rules="vps", metrics=("pq", "vpq")),
    "kitti_step": Benchmark(KITTI_STEP, "kitti_step", partial(_find_named, ".png"), _read_step, ("stq", "vpq")),
    "folder": Benchmark(read_classes, "folder", _find_own, _read_own, ("pq", "mask_ap")),
    "pictures": Benchmark(_read_data_classes, "folder", _find_pictures, _read_pictures, ("pq", "mask_ap")),
}


def open_benchmark(name: str, truth: Path, prediction: Path) -> tuple[Benchmark, Taxonomy, list[FramePair]]:
    """A benchmark, its classes and the frames at two paths.

    Raises:
        FileNotFoundError, ValueError: nothing there, or frames without a counterpart.
    """
    for path in (truth, prediction):
        existing_path(path)
    benchmark = BENCHMARKS[name]
    known = benchmark.taxonomy
    taxonomy = known if isinstance(known, Taxonomy) else known(truth)
    return benchmark, taxonomy, benchmark.find(truth, prediction)


def rules_of(benchmark: Benchmark, is_strict: bool) -> Rules:
    return find_rules(benchmark.rules, is_strict)
