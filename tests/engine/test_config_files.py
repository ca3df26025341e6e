"""Configuration files: numbers, bases, and all mistakes at once."""

from pathlib import Path

import pytest

from ps3d.engine.command_line import DEFAULT_CONFIG, parse_lidar_training
from ps3d.engine.config import LidarTraining
from ps3d.engine.config_files import ConfigError, dump_config, read_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("lidar_*.yaml"))


def write(path, text):
    path.write_text(text)
    return path


def test_four_mistakes_are_reported_at_once_with_file_key_and_nearest_key(tmp_path):
    path = write(
        tmp_path / "bad.yaml",
        "sede: 3\ntrain:\n  lr: fast\n  warm_up: 0.1\nmodel:\n  backbone: resnet\n",
    )
    with pytest.raises(ConfigError) as caught:
        read_config(path, LidarTraining)
    mistakes = caught.value.mistakes
    assert len(mistakes) == 4
    assert all(line.startswith(f"{path}: ") for line in mistakes)
    text = str(caught.value)
    assert "sede: there is no such key; did you mean seed?" in text
    assert "train.warm_up: there is no such key; did you mean train.warmup?" in text
    assert "train.lr" in text
    assert "'fast'" in text
    assert "model.backbone" in text
    assert "'res16unet34c'" in text


def test_numbers_are_read_as_yaml_1_2_does(tmp_path):
    text = "name: no\ntrain: {lr: 1e-4, weight_decay: 1E+0, steps: 010}\ndata: {train: [00, 1:30]}\n"
    with pytest.raises(ConfigError, match=r"data\.train\.0"):
        read_config(write(tmp_path / "a.yaml", text), LidarTraining)
    config = read_config(write(tmp_path / "a.yaml", text.replace("00", "'00'")), LidarTraining)
    assert config.name == "no"
    assert config.train.lr == 1e-4
    assert config.train.weight_decay == 1.0
    assert config.train.steps == 10
    assert config.data.train == ("00", "1:30")


def test_a_file_changes_its_base_and_mistakes_name_the_file_they_are_in(tmp_path):
    write(tmp_path / "below.yaml", "seed: 4\ntrain: {lr: 0.1, clip: x}\n")
    path = write(tmp_path / "above.yaml", "base: below.yaml\ntrain: {lr: 0.2, ema: y}\n")
    with pytest.raises(ConfigError) as caught:
        read_config(path, LidarTraining)
    assert f"{tmp_path / 'below.yaml'}: train.clip" in str(caught.value)
    assert f"{path}: train.ema" in str(caught.value)
    write(tmp_path / "below.yaml", "seed: 4\ntrain: {lr: 0.1, clip: 3}\n")
    write(path, "base: below.yaml\ntrain: {lr: 0.2}\n")
    config = read_config(path, LidarTraining)
    assert (config.seed, config.train.lr, config.train.clip) == (4, 0.2, 3)
    write(tmp_path / "below.yaml", "base: other.yaml\n")
    with pytest.raises(ConfigError, match="a base cannot have a base"):
        read_config(path, LidarTraining)


def test_a_resolved_configuration_reads_back_the_same(tmp_path):
    config = read_config(DEFAULT_CONFIG, LidarTraining)
    assert read_config(write(tmp_path / "resolved.yaml", dump_config(config)), LidarTraining) == config


def test_the_command_line_changes_the_file(tmp_path):
    config, options = parse_lidar_training(["--train.lr", "0.5", "--data.train", "3", "4", "--init", "x"], "")
    assert config.train.lr == 0.5
    assert config.data.train == ("3", "4")
    assert options.init == "x"
    assert config.simulation.folder
    assert not parse_lidar_training(["--data.root", str(tmp_path)], "")[0].simulation.folder


def test_an_unknown_option_is_explained(capsys):
    with pytest.raises(SystemExit):
        parse_lidar_training(["--train.learning-rate", "0.5"], "")
    assert "train.learning-rate" in capsys.readouterr().err


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_that_comes_along_is_valid_and_short(path):
    read_config(path, LidarTraining)
    assert len(path.read_text().splitlines()) <= 60
