"""Configuration files: YAML to a dataclass, with every mistake of a file reported at once."""

import dataclasses
import difflib
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

Config = TypeVar("Config")


class ConfigError(ValueError):
    """What is wrong with a configuration, one mistake per line; a message for people, without a traceback."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class _Yaml12Loader(yaml.SafeLoader):
    """Scalars as YAML 1.2 reads them: 1e-4 is a number, and `on`, `no` and 1:30 are strings."""


_Yaml12Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not re.search("bool|float|int|timestamp", tag)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_NUMBER = list("-+.0123456789")
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", _NUMBER),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", _NUMBER),
):
    _Yaml12Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _construct_float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).replace(".inf", "inf").replace(".nan", "nan"))


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2].lower() in ("0o", "0x") else int(text)


_Yaml12Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)
_Yaml12Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def read_config(path: str | Path, schema: type[Config]) -> Config:
    """A configuration file as its dataclass; what the file does not say has the dataclass's default.

    A file may name one other file in `base:`, relative to itself, whose values it changes; a base has no base.

    Raises:
        FileNotFoundError: no such file.
        ConfigError: all mistakes, each with the file, the key and, for an unknown key, the nearest valid one.
    """
    path = Path(path)
    content, origin = _read_yaml(path)
    if "base" in content:
        base = path.parent / str(content.pop("base"))
        inherited, base_origin = _read_yaml(base)
        if "base" in inherited:
            raise ConfigError([f"{base}: base: a base cannot have a base; copy its values into {base.name}"])
        content, origin = _merged(inherited, content), {**base_origin, **origin}
    return check_config(content, schema, path, origin)


def check_config(
    content: Mapping[str, Any], schema: type[Config], path: str | Path, origin: Mapping[str, Path] | None = None
) -> Config:
    """Plain values as a dataclass.

    Args:
        path: named in the errors.
        origin: the file of each key, where there are several.

    Raises:
        ConfigError: all mistakes at once.
    """
    files = origin or {}
    mistakes = [
        f"{files.get(key, path)}: {key}: there is no such key{_nearest(key, known)}"
        for key, known in _unknown_keys(content, schema)
    ]
    try:
        config = TypeAdapter(schema).validate_python(dict(content))
    except ValidationError as error:
        mistakes += [_describe(problem, path, files) for problem in error.errors()]
        config = None
    if mistakes or config is None:
        raise ConfigError(mistakes)
    return config


def write_config(path: str | Path, config: Any) -> None:
    """The configuration with every value written out, as `read_config` reads it."""
    Path(path).write_text(dump_config(config), encoding="utf-8")


def dump_config(config: Any) -> str:
    """The configuration as YAML, every value written out."""
    return yaml.safe_dump(_plain(dataclasses.asdict(config)), sort_keys=False, allow_unicode=True, width=120)


def plain_config(config: Any) -> dict[str, Any]:
    """The configuration as plain numbers, strings, lists and dicts."""
    return _plain(dataclasses.asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """The content of a file, and that file for each of its dotted keys."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such configuration; the ones that come along are in configs/")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Yaml12Loader) or {}
    except yaml.YAMLError as error:
        raise ConfigError([f"{path}: not valid YAML: {error}"]) from None
    if not isinstance(content, dict):
        raise ConfigError([f"{path}: expected keys and values, found {type(content).__name__}"])
    return content, dict.fromkeys(_dotted(content), path)


def _dotted(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _unknown_keys(content: Mapping[str, Any], schema: Any, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every key without a field, and the keys that there are at its place."""
    hints = typing.get_type_hints(schema)
    for key, value in content.items():
        if key not in hints:
            yield f"{prefix}{key}", [f"{prefix}{name}" for name in hints]
        elif dataclasses.is_dataclass(hints[key]) and isinstance(value, Mapping):
            yield from _unknown_keys(value, hints[key], f"{prefix}{key}.")


def _nearest(key: str, known: list[str]) -> str:
    last = {name.rsplit(".", 1)[-1]: name for name in known}
    near = difflib.get_close_matches(key.rsplit(".", 1)[-1].replace("-", "_"), last, n=1, cutoff=0.5)
    return f"; did you mean {last[near[0]]}?" if near else f"; there are {', '.join(sorted(last))}"


def _describe(problem: Any, path: str | Path, files: Mapping[str, Path]) -> str:
    places = [str(place) for place in problem["loc"]]
    key = ".".join(places)
    file = next((files[".".join(places[:n])] for n in range(len(places), 0, -1) if ".".join(places[:n]) in files), path)
    return f"{file}: {key or 'file'}: {problem['msg'].lower()}, found {problem['input']!r}"
