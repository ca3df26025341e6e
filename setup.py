"""Package metadata and dependencies; the reason for each dependency stands beside it."""

from pathlib import Path

from setuptools import find_packages, setup

CORE = [
    "torch>=2.4",  # networks
    "numpy>=1.26",  # everything before and after the network
    "numba>=0.60",  # compiled kernels (sparse convolution, overlap tables) without a compiler
    "scipy>=1.11",  # assignment, nearest neighbors, rotations
    "pyyaml>=6",  # configuration files
    "pydantic>=2.7",  # configuration schema that reports every mistake at once
    "tyro>=0.9",  # dotted command-line overrides
    "rich>=13",  # progress, tables, readable errors
    "pillow>=10",  # 8- and 16-bit PNG
    "matplotlib>=3.8",  # plots
    "safetensors>=0.4",  # weights that cannot run code
    "jaxtyping>=0.2.34",  # shapes in annotations
    "lightning-fabric>=2.4",  # devices, precision and process groups under a plain training loop
    "tensorboard>=2.15",  # training curves
    "motmetrics>=1.4",  # CLEAR-MOT and IDF1, the implementation the field quotes
    "defusedxml>=0.7",  # KITTI-360 boxes are XML from the network
    "jinja2>=3.1",  # report pages
    "av>=12",  # videos, without an ffmpeg on the machine
]

EXTRAS = {
    # Open3D casts the simulator's rays and draws scans. Without a GPU the Makefile takes the smaller `open3d-cpu`.
    "open3d": ["open3d>=0.19"],
    # spconv-cu120 has wheels up to Python 3.11 only; cu126 serves newer Pythons and GPUs up to Hopper.
    "cuda": [
        "spconv-cu120; python_version < '3.12'",
        "spconv-cu126; python_version >= '3.12' and python_version < '3.14'",
        "spconv-triton; python_version >= '3.14'",
    ],
    # transformers brings the image networks and needs no torchvision.
    "image": ["transformers>=5.2,<6"],
    "dev": [
        "pytest>=8",
        "pytest-timeout",  # a hanging test names itself
        "hypothesis>=6",  # property tests of the metrics
        "beartype>=0.18",  # checks jaxtyping annotations while tests run
        "ruff>=0.6",
        "basedpyright>=1.20",  # pyright as a wheel that downloads nothing
        "import-linter>=2",  # the layers of docs/architecture.md
        "pycocotools>=2.0.7",  # oracle for mask AP and run-length encoding
        # Oracle for sparse convolution, on one thread.
        "spconv>=2.3.8; sys_platform == 'linux' and python_version < '3.14'",
        "scikit-learn>=1.4",  # oracle for clustering
    ],
    # The official KITTI-360 code, to prove that it reads what we write.
    "devkit": ["kitti360scripts>=1.0", "scikit-image"],
}

setup(
    name="ps3d",
    version="0.1.0",
    description="3D LiDAR and video panoptic segmentation suite",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["ps3d", "ps3d.*"]),
    package_data={"ps3d": ["**/*.yaml", "**/*.html", "**/*.safetensors", "**/*.json"]},
    install_requires=CORE,
    extras_require=EXTRAS,
)
