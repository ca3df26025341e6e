"""Score predictions against the truth: `python tools/evaluate.py --truth PATH --prediction PATH --benchmark NAME`.

Prints one table with the official reading of the benchmark and the strict one. Under torchrun each rank scores whole
sequences and the first one prints. Formats: docs/metrics.md.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("NUMBA_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ps3d.engine.evaluate import ALIASES, METRICS, Evaluation, evaluate
from ps3d.engine.evaluation_formats import BENCHMARKS
from ps3d.engine.evaluation_objects import OBJECT_BENCHMARKS, evaluate_objects


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, required=True, help="root of the data set, folder of labels, or JSON")
    parser.add_argument("--prediction", type=Path, required=True, help="folder of labels, or JSON")
    parser.add_argument("--benchmark", required=True, choices=[*BENCHMARKS, *OBJECT_BENCHMARKS])
    parser.add_argument("--metrics", nargs="+", default=[], help=f"of {', '.join([*METRICS, *ALIASES])}")
    parser.add_argument("--rules", choices=["official", "strict", "both"], default="both")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--workers", type=int, default=0, help="processes; pictures are worth several")
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="list (and draw) the N worst frames")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="bars per class, confusion, drawings of --worst")
    return parser.parse_args()


def count(options: argparse.Namespace) -> Evaluation | None:
    modes = ("official", "strict") if options.rules == "both" else (options.rules,)
    if options.benchmark in OBJECT_BENCHMARKS:
        return evaluate_objects(options.truth, options.prediction, options.benchmark)
    from rich.console import Console
    from rich.progress import Progress

    with Progress(transient=True, console=Console(stderr=True), disable=int(os.environ.get("RANK", 0)) != 0) as bar:
        task = bar.add_task("frames", total=None)
        counted = evaluate(
            options.truth,
            options.prediction,
            options.benchmark,
            options.metrics,
            modes,
            options.workers,
            options.worst,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    return counted


def main() -> None:
    options = parse()
    try:
        counted = count(options)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"evaluate.py: {error}")
    if counted is None:
        return
    from ps3d.engine import evaluation_report as report

    report.print_results(counted)
    if options.worst:
        report.print_worst(counted)
    if options.json:
        report.write_json(counted, options.json)
    if options.plots:
        report.write_plots(counted, options.plots)
        if options.worst:
            from ps3d.engine.evaluation_pictures import draw_worst

            draw_worst(counted, options.truth, options.prediction, options.benchmark, options.plots / "worst")


if __name__ == "__main__":
    main()
