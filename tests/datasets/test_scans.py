"""Scans of any sensor from files of any common format, and opening whatever lies at a path."""

import numpy as np
import pytest
from tiny_drive import POINTS

from ps3d.datasets.kitti360_labels import KITTI360_SCAN
from ps3d.datasets.label_files import write_labels
from ps3d.datasets.opening import KITTI360, SCANS, SEMANTIC, named_taxonomy, open_sequences, recognize
from ps3d.datasets.pcd import decompress_lzf, read_pcd
from ps3d.datasets.ply import read_ply, write_ply
from ps3d.datasets.point_files import guess_columns, read_any_scan
from ps3d.datasets.scans import ScanFolder
from ps3d.datasets.semantic_kitti_export import export_sequence
from ps3d.datasets.semantic_kitti_files import write_kitti_poses
from ps3d.structures import Sequence

XYZI = np.array([[1, 2, 3, 0.5], [4, 5, 6, 1.0], [-7, 8.25, -9, 0.0]], np.float32)
FIELDS = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4")])


def sweep(points: int = 600) -> np.ndarray:
    """A ring of points in the order a sensor measures them."""
    angle = np.linspace(0, 2 * np.pi, points)
    return np.column_stack([20 * np.cos(angle), 20 * np.sin(angle), -1 + 0 * angle, np.full(points, 0.3)]).astype("<f4")


def write_pcd(path, data: str, body: bytes, points: int = 3, count: str = "1 1 1 1") -> None:
    header = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z intensity\nSIZE 4 4 4 4\nTYPE F F F F\n"
        f"COUNT {count}\nWIDTH {points}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {points}\nDATA {data}\n"
    )
    path.write_bytes(header.encode() + body)


def literal_lzf(data: bytes) -> bytes:
    """LZF without any copy: runs of at most 32 bytes."""
    runs = [data[i : i + 32] for i in range(0, len(data), 32)]
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


def write_format(path, kind: str) -> None:
    if kind == "bin":
        XYZI.tofile(path)
    elif kind == "npy":
        np.save(path, XYZI.astype(np.float64))
    elif kind == "npy fields":
        np.save(path, XYZI.view(FIELDS).reshape(-1))
    elif kind == "ply":
        write_ply(path, XYZI.view(FIELDS).reshape(-1))
    elif kind == "ply ascii":
        rows = "\n".join(" ".join(map(str, row)) for row in XYZI.tolist())
        properties = "".join(f"property float {n}\n" for n in ("x", "y", "z", "intensity"))
        path.write_text(f"ply\nformat ascii 1.0\ncomment by hand\nelement vertex 3\n{properties}end_header\n{rows}\n")
    elif kind == "ply big endian":
        properties = "".join(f"property float {n}\n" for n in ("x", "y", "z", "intensity"))
        head = f"ply\nformat binary_big_endian 1.0\nelement vertex 3\n{properties}end_header\n"
        path.write_bytes(head.encode() + XYZI.astype(">f4").tobytes())
    elif kind == "pcd ascii":
        write_pcd(path, "ascii", "\n".join(" ".join(map(str, row)) for row in XYZI.tolist()).encode())
    elif kind == "pcd binary":
        write_pcd(path, "binary", XYZI.tobytes())
    elif kind == "pcd compressed":
        body = XYZI.T.tobytes()
        packed = literal_lzf(body)
        write_pcd(path, "binary_compressed", np.array([len(packed), len(body)], "<u4").tobytes() + packed)


@pytest.mark.parametrize(
    "kind",
    ["bin", "npy", "npy fields", "ply", "ply ascii", "ply big endian", "pcd ascii", "pcd binary", "pcd compressed"],
)
def test_every_format_gives_the_same_scan_and_a_cut_off_file_is_named(tmp_path, kind):
    path = tmp_path / f"scan.{kind.split()[0]}"
    write_format(path, kind)
    scan = read_any_scan(path, columns=4)
    np.testing.assert_array_equal(scan.xyz, XYZI[:, :3])
    np.testing.assert_array_equal(scan.intensity, XYZI[:, 3])
    assert (scan.time == 0).all()
    path.write_bytes(path.read_bytes()[:-15])
    with pytest.raises(ValueError, match=rf"scan\.{kind.split()[0]}"):
        read_any_scan(path)


def test_lzf_copies_repeat_what_was_written_before():
    packed = np.array([2, *b"abc", (7 << 5) | 0, 1, 2, 0, *b"!"], np.uint8)  # 3 bytes, 10 copied from 3 back, 1 byte
    assert decompress_lzf(packed, 64).tobytes() == b"abc" + b"abcabcabca" + b"!"
    assert len(decompress_lzf(np.array([(1 << 5), 5], np.uint8), 64)) == 0
    assert len(decompress_lzf(np.array([9, 1], np.uint8), 64)) == 0


def test_open3d_writes_the_compressed_clouds_that_we_read(tmp_path):
    o3d = pytest.importorskip("open3d", reason="Open3D is not installed")
    xyz = np.round(np.random.default_rng(0).normal(size=(2000, 3)) * 4).astype(np.float32)
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(xyz.astype(np.float64)))
    for name, options in {"a.pcd": {"compressed": True}, "b.pcd": {"write_ascii": True}, "c.ply": {}}.items():
        assert o3d.io.write_point_cloud(str(tmp_path / name), cloud, **options)
        np.testing.assert_array_equal(read_any_scan(tmp_path / name).xyz, xyz)


def test_pcd_fields_with_counts_and_padding(tmp_path):
    body = np.zeros(2, [("x", "<f4"), ("n", "<f4", (2,)), ("_", "u1", (4,)), ("y", "<f4")])
    body["n"] = [[1, 2], [3, 4]]
    body["y"] = [5, 6]
    header = "FIELDS x n _ y\nSIZE 4 4 1 4\nTYPE F F U F\nCOUNT 1 2 4 1\nWIDTH 2\nHEIGHT 1\nDATA binary\n"
    (tmp_path / "a.pcd").write_bytes(header.encode() + body.tobytes())
    cloud = read_pcd(tmp_path / "a.pcd")
    assert cloud["n"].tolist() == [[1, 2], [3, 4]]
    assert cloud["y"].tolist() == [5, 6]


@pytest.mark.parametrize("columns", [3, 4, 5, 6])
def test_the_width_of_a_bin_is_found(tmp_path, columns):
    points = sweep()  # 600 points: every width divides the file
    table = np.column_stack([points, np.arange(600) % 64, np.arange(600)]).astype("<f4")
    table[:, :columns].tofile(tmp_path / "a.bin")
    assert guess_columns(tmp_path / "a.bin") == columns
    np.testing.assert_array_equal(read_any_scan(tmp_path / "a.bin").xyz, points[:, :3])


def test_intensities_come_in_0_to_1(tmp_path):
    for highest, scale in ((0.9, 1), (200, 255), (40000, 65535)):
        np.save(tmp_path / "a.npy", np.array([[1, 2, 3, 0], [1, 2, 3, highest]]))
        assert read_any_scan(tmp_path / "a.npy").intensity[1] == pytest.approx(highest / scale)
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    assert read_any_scan(tmp_path / "a.npy").intensity.tolist() == [0, 0]


def test_nuscenes_files_are_turned_so_that_x_looks_forward(tmp_path):
    np.array([[1, 10, 3, 128, 7]], "<f4").tofile(tmp_path / "a.pcd.bin")
    scan = read_any_scan(tmp_path / "a.pcd.bin")
    assert scan.xyz.tolist() == [[10, -1, 3]]
    assert scan.intensity[0] == pytest.approx(128 / 255)


def test_points_that_are_not_finite_keep_their_place(tmp_path):
    points = XYZI.copy()
    points[1, 0] = np.nan
    np.save(tmp_path / "a.npy", points)
    with pytest.warns(UserWarning, match=r"a\.npy: 1 points are not finite"):
        assert read_any_scan(tmp_path / "a.npy").xyz[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.las", b"LASF", "unknown format"),
        ("a.npy", b"junk", "no readable array"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "no end"),
        ("a.pcd", b"VERSION 0.7\n", "no PCD header"),
        ("a.pcd", b"FIELDS x y\nSIZE 4 4\nTYPE F F\nWIDTH 0\nDATA ascii\n", "no fields x, y and z"),
        ("a.bin", b"", "cut off"),
    ],
)
def test_what_is_no_scan_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}.*{message}"):
        read_any_scan(tmp_path / name)


def test_a_file_without_points_is_named(tmp_path):
    write_ply(tmp_path / "a.ply", np.zeros(0, FIELDS))
    with pytest.raises(ValueError, match=r"a\.ply: no points"):
        read_any_scan(tmp_path / "a.ply")


def test_ply_keeps_every_field_and_type(tmp_path):
    dtype = np.dtype([(k, k) for k in ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")])
    cloud = np.zeros(2, dtype)
    for name in dtype.names:
        cloud[name] = [1, 100]
    write_ply(tmp_path / "a.ply", cloud)
    assert read_ply(tmp_path / "a.ply").dtype == dtype
    np.testing.assert_array_equal(read_ply(tmp_path / "a.ply"), cloud)
    with pytest.raises(ValueError, match="i8"):
        write_ply(tmp_path / "a.ply", np.zeros(2, [("i8", "i8")]))


def test_a_folder_is_a_sequence_in_the_order_of_its_numbers(tmp_path):
    for number in (10, 9, 100):
        sweep().tofile(tmp_path / f"{number}.bin")
    (tmp_path / "notes.txt").write_text("not a scan")
    folder = ScanFolder(tmp_path)
    assert isinstance(folder, Sequence)
    assert [frame.index for frame in folder] == [9, 10, 100]
    assert folder[0].world_from_lidar is None
    assert folder[0].source.endswith("9.bin")
    write_kitti_poses(tmp_path / "poses.txt", np.tile(np.eye(4), (3, 1, 1)))
    assert ScanFolder(tmp_path)[2].world_from_lidar is not None
    write_kitti_poses(tmp_path / "poses.txt", np.tile(np.eye(4), (2, 1, 1)))
    with pytest.raises(ValueError, match=r"poses\.txt: 2 poses for 3 scans"):
        ScanFolder(tmp_path)[0]


def test_names_that_are_times_give_times(tmp_path):
    for stem in ("315966265259836000", "315966265360032000"):
        np.save(tmp_path / f"{stem}.npy", XYZI)
    folder = ScanFolder(tmp_path)
    assert folder.frames == [0, 1]
    assert folder[1].timestamp - folder[0].timestamp == pytest.approx(0.100196, abs=1e-6)


def test_labels_beside_a_folder(tmp_path):
    np.save(tmp_path / "scan.npy", XYZI)
    write_labels(tmp_path / "labels/scan.label", np.array([7, 26, 0]), np.array([0, 3, 0]))
    label = ScanFolder(tmp_path, labels=tmp_path / "labels")[0].truth["lidar"]
    assert label.instance.tolist() == [0, 3, 0]
    assert KITTI360_SCAN.names[label.semantic[1]] == "car"


def test_opening_recognizes_what_lies_there(tiny_root, tmp_path):
    assert recognize(tiny_root) == KITTI360
    (drive,) = open_sequences(tiny_root, sequences=[3], cameras=["image_00"])
    export_sequence(tmp_path / "kitti", 2, drive, KITTI360_SCAN)
    for path in ("kitti", "kitti/sequences", "kitti/sequences/02"):
        assert recognize(tmp_path / path) == SEMANTIC
        (sequence,) = open_sequences(tmp_path / path)
        assert (sequence.name, len(sequence)) == ("02", 8)
    scans = tmp_path / "kitti/sequences/02/velodyne"
    assert recognize(scans) == recognize(scans / "000000.bin") == SCANS
    (folder,) = open_sequences(scans, "semantic_kitti", labels=tmp_path / "kitti/sequences/02/labels")
    assert len(folder) == 8
    assert len(folder[0].truth["lidar"]) == POINTS
    assert len(open_sequences(scans / "000000.bin")[0]) == 1


def test_opening_names_what_it_would_read(tmp_path, tiny_root):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"data_3d_raw.*doctor\.py"):
        open_sequences(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="no such file"):
        open_sequences(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="holds 2013_05_28_drive_0003_sync"):
        open_sequences(tiny_root, sequences=[5])
    with pytest.raises(KeyError, match="kitti360_scan"):
        named_taxonomy("cityscapes")


def test_real_scans_of_other_sensors(samples):
    (nuscenes,) = open_sequences(samples / "nuscenes")
    scan = nuscenes[0].scan
    assert 30_000 < len(scan) < 40_000
    ground = scan.xyz[(np.linalg.norm(scan.xyz[:, :2], axis=1) < 8) & (scan.xyz[:, 2] < -1)]
    assert -2.2 < np.median(ground[:, 2]) < -1.5
    for path in (samples / "kitti360").glob("data_3d_raw/*/velodyne_points/data/*.bin"):
        assert guess_columns(path) == 4
