"""What this machine has, what a data set holds, and what can therefore run.

    python tools/doctor.py                      the machine
    python tools/doctor.py --root DATA          the machine and a data set: KITTI-360, SemanticKITTI, scans, pictures
    python tools/doctor.py --root DATA --deep   ... and every byte of it is read

Ends with 0 if all is well, 1 if a required part is missing or a file is damaged, 2 if there is no data at --root.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

# The doctor must run before ps3d is installed, so nothing but the standard library is imported on sight.
sys.path.insert(0, str(Path(__file__).parent.parent))
from ps3d.engine.machine import REQUIRED, Part, describe_machine

try:
    import tyro
    from rich.console import Console
    from rich.table import Table
except ImportError:
    for part in describe_machine():
        print(f"{part.name}: {part.found}" + (f"\n    {part.remedy}" if part.remedy else ""))
    sys.exit(1)

if TYPE_CHECKING:
    from ps3d.datasets.findings import Finding, Inventory

COLORS = {"damaged": "red", "missing": "yellow", "note": "cyan"}


@dataclass
class Options:
    """What to look at."""

    root: Path | None = None
    """A data set: KITTI-360, SemanticKITTI, scans, own pictures (classes.yaml), Cityscapes, COCO, ADE20K, Vistas."""
    deep: bool = False
    """Read every file whole, not only names, sizes and headers."""
    machine: bool = True
    """Look at the machine too."""
    lines: int = 40
    """Show so many findings of each kind."""


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    console = Console(soft_wrap=True)
    is_well = True
    if options.machine:
        parts = describe_machine()
        show_machine(console, parts)
        is_well = all(part.is_there for part in parts if part.need == REQUIRED)
    if options.root is not None:
        is_well &= show_data(console, options.root, options)
    sys.exit(0 if is_well else 1)


def show_machine(console: "Console", parts: list[Part]) -> None:
    table = Table("part", "found", title="This machine", title_justify="left")
    for part in parts:
        color = "green" if part.is_there else "red" if part.need == REQUIRED else "yellow"
        table.add_row(part.name, f"[{color}]{part.found}[/{color}]")
    console.print(table)
    for part in parts:
        if part.remedy:
            console.print(f"{part.name}: {part.remedy}", highlight=False, markup=False)


def show_data(console: "Console", root: Path, options: Options) -> bool:
    """Look at a data set; returns whether nothing is damaged. Ends the program where there is no data."""
    try:
        from ps3d.datasets.inspection import inspect_data
    except ImportError as error:
        console.print(f"[red]{error}: install what is red above, then look at the data[/red]")
        sys.exit(1)
    try:
        inventory = inspect_data(root, options.deep)
    except FileNotFoundError as error:
        console.print(str(error), style="red", highlight=False, markup=False)
        sys.exit(2)
    show_inventory(console, root, inventory, options.lines)
    return not inventory.is_damaged


def show_inventory(console: "Console", root: Path, inventory: "Inventory", lines: int) -> None:
    """Holdings, findings and commands of one data set."""
    holdings = Table("what", "how much", title=f"{root}: {inventory.kind}", title_justify="left")
    for what, amount in inventory.holdings:
        holdings.add_row(what, amount)
    console.print(holdings)
    for severity in COLORS:
        list_findings(console, [finding for finding in inventory.findings if finding.severity == severity], lines)
    commands = Table("command", "can run", "because it", title="What can run", title_justify="left")
    for ability in inventory.abilities:
        commands.add_row(ability.command, "[green]yes[/green]" if ability.can_run else "[red]no[/red]", ability.reason)
    console.print(commands)


def list_findings(console: "Console", findings: list["Finding"], lines: int) -> None:
    for finding in findings[:lines]:
        text = f"{finding.severity}: {finding.path}: {finding.message}"
        console.print(text, style=COLORS[finding.severity], highlight=False, markup=False)
    if len(findings) > lines:
        console.print(f"... {len(findings) - lines} more; --lines {len(findings)} shows them")


if __name__ == "__main__":
    main()
