"""Benchmarks, each as ratios measured in one run: `python tools/benchmark.py NAME [options]`."""

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
BENCHMARKS = sorted(path.stem for path in (Path(__file__).parent / "benchmarks").glob("*.py") if path.stem[0] != "_")


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        wanted = sys.argv[1] if len(sys.argv) > 1 else ""
        asks_for_help = wanted in ("", "-h", "--help")
        if not asks_for_help:
            print(f"no benchmark {wanted!r}", file=sys.stderr)
        print(f"usage: python tools/benchmark.py {{{','.join(BENCHMARKS)}}} [options]; NAME --help lists them")
        sys.exit(0 if asks_for_help else 2)
    name = sys.argv.pop(1)
    sys.argv[0] = f"benchmark.py {name}"
    importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
