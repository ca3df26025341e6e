"""What an inspection of a data set says: what it holds, what is missing or damaged, and what can therefore run."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

DAMAGED, MISSING, NOTE = "damaged", "missing", "note"


@dataclass(frozen=True)
class Finding:
    """One thing to know about one file.

    Attributes:
        severity: `DAMAGED` (reading will fail or mislead), `MISSING` (some commands cannot run) or `NOTE`.
        path: the file or folder.
        message: what is wrong, and the remedy.
    """

    severity: str
    path: Path
    message: str


@dataclass(frozen=True)
class Ability:
    """Whether a command can run on what is there, and why (not)."""

    command: str
    can_run: bool
    reason: str


@dataclass
class Inventory:
    """All that one inspection found.

    Attributes:
        kind: what lies there, as `ps3d.datasets.opening.recognize` says it.
        holdings: (what, how much) in the order of a table.
    """

    kind: str
    holdings: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    abilities: list[Ability] = field(default_factory=list)

    @property
    def is_damaged(self) -> bool:
        return any(finding.severity == DAMAGED for finding in self.findings)

    def hold(self, what: str, amount: object) -> None:
        self.holdings.append((what, str(amount)))

    def damaged(self, path: Path, message: str) -> None:
        self.findings.append(Finding(DAMAGED, path, message))

    def missing(self, path: Path, message: str) -> None:
        self.findings.append(Finding(MISSING, path, message))

    def note(self, path: Path, message: str) -> None:
        self.findings.append(Finding(NOTE, path, message))

    def can(self, command: str, has: dict[str, bool]) -> None:
        """The command runs if everything it needs is there; otherwise the reason lists what is not."""
        lacking = [name for name, is_there in has.items() if not is_there]
        reason = "needs " + ", ".join(lacking) if lacking else "has " + ", ".join(has)
        self.abilities.append(Ability(command, not lacking, reason))

    def attempt(self, path: Path, read: Callable[[Path], object]) -> object | None:
        """Read a file; an error becomes a finding (its own message starts with the path) and None comes back."""
        try:
            return read(path)
        except FileNotFoundError as error:
            self.missing(path, _without_path(str(error), path))
        except (ValueError, OSError) as error:
            self.damaged(path, _without_path(str(error), path))
        return None


def _without_path(message: str, path: Path) -> str:
    return message.removeprefix(f"{path}: ")


def check_sizes(inventory: Inventory, files: Iterable[Path], unit: int, what: str) -> None:
    """Every file must be a whole number of units of bytes, and not empty."""
    for path in files:
        size = path.stat().st_size
        if size == 0:
            inventory.damaged(path, "empty; download or write it again")
        elif size % unit:
            inventory.damaged(path, f"cut off: {size} bytes are no whole number of {what} of {unit} bytes")


def check_labels(inventory: Inventory, labels: dict[int, Path], scans: dict[int, Path], point_bytes: int = 16) -> int:
    """Each .label file must have as many numbers as its scan has points. Returns the number of scans with labels."""
    for frame in labels.keys() & scans.keys():
        there, points = labels[frame].stat().st_size / 4, scans[frame].stat().st_size / point_bytes
        if there != points and points.is_integer():  # a torn scan is reported by itself
            inventory.damaged(labels[frame], f"{there:g} labels for a scan of {points:g} points; write it again")
    for frame in sorted(labels.keys() - scans.keys()):
        inventory.note(labels[frame], "labels without a scan")
    return len(labels.keys() & scans.keys())


def check_pictures(inventory: Inventory, files: Iterable[Path]) -> None:
    """Every PNG must start and end as one; decoding is left to `--deep`."""
    for path in files:
        with path.open("rb") as file:
            head = file.read(8)
            file.seek(max(0, path.stat().st_size - 12))
            tail = file.read()
        if head != b"\x89PNG\r\n\x1a\n" or tail[4:8] != b"IEND":
            inventory.damaged(path, "cut off or no PNG; download or write it again")


def check_rests(inventory: Inventory, root: Path) -> None:
    """Temporary files of writers that were killed."""
    for path in sorted(root.rglob(".*.partial*")):
        inventory.note(path, "left by a writer that was killed; delete it")


def ranges(numbers: Iterable[int]) -> str:
    """Frame numbers in short: 0-9, 12, 15-20."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [f"{first}-{last}" if first != last else str(first) for first, last in runs[:6]]
    return ", ".join(shown) + (f", ... ({len(runs)} runs)" if len(runs) > 6 else "")
