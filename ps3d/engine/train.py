"""The training loop over `model.loss(batch)`; devices, precision and processes are Lightning Fabric's business."""

import logging
import math
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from ps3d.datasets.loading import StepSampler, TrainingFrames, training_loader
from ps3d.datasets.picture_augmentation import TrainingPictures
from ps3d.engine.checkpoint import load_training_state, save_training_state
from ps3d.engine.config import TrainSettings
from ps3d.engine.run_folder import MetricsFile, RunFolder

log = logging.getLogger("ps3d.train")


class NonFiniteLossError(RuntimeError):
    """The loss became NaN or infinite; names the step and the frames."""


class Interrupted(SystemExit):
    """SIGTERM or SIGINT came; the state has been saved."""


@dataclass
class Position:
    """How far a training is.

    Attributes:
        step: optimizer steps done.
        seconds: time spent in the loop, over all sessions.
        progress: 0..1 of the schedule.
    """

    step: int = 0
    seconds: float = 0.0
    progress: float = 0.0


class RunningMean:
    """Exponential mean of weights and statistics (Polyak averaging); with little history it follows faster."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.mean = {key: value.detach().clone() for key, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move the mean towards the model."""
        share = 1 - min(self.decay, (1 + step) / (10 + step)) if self.decay else 1.0
        for key, value in model.state_dict().items():
            if value.is_floating_point():
                self.mean[key].lerp_(value.detach(), share)
            else:
                self.mean[key].copy_(value)


def learning_rate(progress: float, peak: float, warmup: float) -> float:
    """Linear rise over the first `warmup` of the schedule, then half a cosine down to a thousandth of the peak."""
    if progress < warmup:
        return peak * (progress + 1e-3) / (warmup + 1e-3)
    fall = (progress - warmup) / max(1 - warmup, 1e-9)
    return peak * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * min(1.0, fall))))


def total_steps(settings: TrainSettings, frames: int) -> int:
    """Optimizer steps of the whole training."""
    return settings.steps or max(1, math.ceil(settings.epochs * frames / settings.batch))


def train(
    fabric: Fabric,
    model: nn.Module,
    frames: TrainingFrames | TrainingPictures,
    settings: TrainSettings,
    run: RunFolder,
    validate: Callable[[], dict[str, float]] | None = None,
) -> dict[str, Tensor]:
    """Train, or go on where the run's folder says.

    Args:
        fabric: launched.
        model: with `collate(frames)` and `loss(batch) -> dict of scalars`; holds the mean weights during `validate`.
        validate: figures of the model as it is, called every `validate_every` steps in every process.

    Returns:
        The mean weights, which `model` holds afterwards.

    Raises:
        NonFiniteLossError: names the frames.
        Interrupted: after SIGTERM or SIGINT, once the state is saved.
    """
    optimizer = torch.optim.AdamW(_groups(model, settings.weight_decay), lr=settings.lr)
    position = Position()
    mean = RunningMean(model, settings.ema)
    if run.state.exists():
        position = _resume(run, model, optimizer, mean)
        fabric.print(f"going on at step {position.step}")
    collate: Any = model.collate
    module, optimizer = fabric.setup(model, optimizer)
    module.mark_forward_method("loss")
    module.train()
    mean.mean = {key: value.to(fabric.device) for key, value in mean.mean.items()}
    steps = total_steps(settings, len(frames))
    loop = _Loop(fabric, module, model, optimizer, mean, settings, position, steps)
    sampler = StepSampler(
        len(frames), settings.batch, frames.seed, fabric.global_rank, fabric.world_size, position.step, steps
    )
    loader = training_loader(frames, collate, sampler, settings.scans_per_pass, settings.workers)
    with _Recorder(fabric, run, position.step, steps) as recorder, _Signals() as signals:
        for batches in loader:
            if position.progress >= 1:
                break
            figures = loop.step(batches, signals.is_stopped)
            recorder.write(figures, position, settings.log_every)
            if loop.is_asked_to_stop:
                _save(fabric, run, loop)
                code = 128 + (signals.number or signal.SIGTERM)
                fabric.print(f"stopped at step {position.step}; --resume {run.path} goes on from here")
                raise Interrupted(code)
            if position.step % settings.save_every == 0:
                _save(fabric, run, loop)
            if validate and settings.validate_every and position.step % settings.validate_every == 0:
                recorder.write(_validate(model, mean, validate), position, 1)
    _save(fabric, run, loop)
    model.load_state_dict(_mean_over_processes(fabric, mean.mean))
    return model.state_dict()


class _Loop:
    """One optimizer step after the other."""

    def __init__(
        self,
        fabric: Fabric,
        module: Any,
        model: nn.Module,
        optimizer: Any,
        mean: RunningMean,
        settings: TrainSettings,
        position: Position,
        steps: int,
    ) -> None:
        self.fabric, self.module, self.model, self.optimizer = fabric, module, model, optimizer
        self.mean, self.settings, self.position, self.steps = mean, settings, position, steps
        self.is_asked_to_stop = False

    def step(self, batches: list[Any], is_stopped: bool) -> dict[str, float]:
        """Forward and backward over the micro-batches, then one update; the figures are means over all processes."""
        begin = time.perf_counter()
        parts: dict[str, Tensor] = {}
        for place, batch in enumerate(batches):
            batch = batch.to(self.fabric.device)
            is_last = place == len(batches) - 1
            with self.fabric.no_backward_sync(self.module, enabled=not is_last):
                losses = self.module.loss(batch)
                self.fabric.backward(torch.stack(list(losses.values())).sum() / len(batches))
            for name, value in losses.items():
                parts[name] = parts.get(name, 0.0) + value.detach() / len(batches)
        figures = self._agree(parts, begin, is_stopped, batches)
        rate = learning_rate(self.position.progress, self.settings.lr, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = self.fabric.clip_gradients(self.module, self.optimizer, max_norm=self.settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.position.step += 1
        self.mean.update(self.model, self.position.step)
        duration = time.perf_counter() - begin
        self.position.seconds += duration
        return {**figures, "lr": rate, "gradient": float(norm or 0), "seconds_per_step": duration}

    def _agree(self, parts: dict[str, Tensor], begin: float, is_stopped: bool, batches: list[Any]) -> dict[str, float]:
        """One small all-reduce: losses, whether one process shall stop, and how far the first one's clock is."""
        loss = sum(parts.values(), torch.zeros((), device=self.fabric.device))
        is_finite = bool(torch.isfinite(loss))
        seconds = self.position.seconds + time.perf_counter() - begin
        limit = 60 * self.settings.minutes
        share = max((self.position.step + 1) / self.steps, seconds / limit if limit else 0.0)
        share = share if self.fabric.global_rank == 0 else 0.0
        mine = torch.stack([*parts.values(), loss]).double().cpu()
        flags = torch.tensor([share, float(is_stopped), float(not is_finite)], dtype=torch.float64)
        packed = torch.cat([torch.nan_to_num(mine), flags]).to(self.fabric.device)
        total = self.fabric.all_reduce(packed, reduce_op="sum").cpu()
        if total[-1] > 0:
            names = "; ".join(name for batch in batches for name in batch.sources)
            where = f"frames of this process: {names}" if not is_finite else "the frames were another process's"
            raise NonFiniteLossError(f"the loss is not finite at step {self.position.step + 1}; {where}")
        self.is_asked_to_stop = bool(total[-2] > 0)
        self.position.progress = min(1.0, float(total[-3]))
        values = total[: len(mine)] / self.fabric.world_size
        return dict(zip([*(f"loss/{name}" for name in parts), "loss/total"], values.tolist(), strict=True))


class _Signals:
    """SIGTERM and SIGINT are remembered until the step is finished; a second one kills."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._previous: dict[int, Any] = {}

    @property
    def is_stopped(self) -> bool:
        return self.number is not None

    def __enter__(self) -> "_Signals":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _frame: object) -> None:
        self.number = number
        signal.signal(number, self._previous[number])


class _Recorder:
    """metrics.csv, TensorBoard, the log and the bar on the screen; only the first process writes."""

    def __init__(self, fabric: Fabric, run: RunFolder, first_step: int, steps: int) -> None:
        self.is_active = fabric.is_global_zero
        self.steps = steps
        self._sums: dict[str, list[float]] = {}
        if self.is_active:
            self.csv = MetricsFile(run.metrics, first_step)
            self.board = SummaryWriter(str(run.path), purge_step=first_step + 1)
            text = TextColumn("loss {task.fields[loss]:.3f}")
            columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), text)
            self.bar = Progress(*columns, refresh_per_second=2)
            self.task = self.bar.add_task("training", total=steps, completed=first_step, loss=math.nan)

    def __enter__(self) -> "_Recorder":
        if self.is_active:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_active:
            self.bar.stop()
            self.board.close()

    def write(self, figures: dict[str, float], position: Position, every: int) -> None:
        """Means of the figures over `every` steps."""
        if not self.is_active:
            return
        for name, value in figures.items():
            self._sums.setdefault(name, []).append(value)
        if "loss/total" in figures:
            total = max(position.step, round(position.step / max(position.progress, 1e-9)))
            self.bar.update(
                self.task, completed=position.step, total=min(self.steps, total), loss=figures["loss/total"]
            )
        if position.step % every and position.progress < 1:
            return
        means = {name: sum(values) / len(values) for name, values in self._sums.items()}
        self._sums.clear()
        self.csv.add({"step": float(position.step), "progress": position.progress, **means})
        for name, value in means.items():
            self.board.add_scalar(name, value, position.step)
        log.info("step %d: %s", position.step, ", ".join(f"{name} {value:.4g}" for name, value in means.items()))


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weights decay; biases and normalization do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _save(fabric: Fabric, run: RunFolder, loop: _Loop) -> None:
    mean = _mean_over_processes(fabric, loop.mean.mean)
    if fabric.is_global_zero:
        state = {
            "model": loop.model.state_dict(),
            "mean": mean,
            "optimizer": loop.optimizer.state_dict(),
            "step": loop.position.step,
            "seconds": loop.position.seconds,
            "progress": loop.position.progress,
        }
        save_training_state(run.state, state)
    fabric.barrier()


def _mean_over_processes(fabric: Fabric, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Normalization statistics are each process's own; everything else is the same everywhere and stays so."""
    if fabric.world_size == 1:
        return {key: value.clone() for key, value in state.items()}
    keys = [key for key, value in state.items() if key.endswith(("running_mean", "running_var"))]
    if not keys:
        return {key: value.clone() for key, value in state.items()}
    flat = torch.cat([state[key].reshape(-1) for key in keys])
    flat = fabric.all_reduce(flat, reduce_op="mean")
    result = {key: value.clone() for key, value in state.items()}
    for key, values in zip(keys, flat.split([state[key].numel() for key in keys]), strict=True):
        result[key] = values.view_as(state[key]).clone()
    return result


def _resume(run: RunFolder, model: nn.Module, optimizer: Any, mean: RunningMean) -> Position:
    state = load_training_state(run.state)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    mean.mean = state["mean"]
    return Position(state["step"], state["seconds"], state["progress"])


def _validate(model: nn.Module, mean: RunningMean, validate: Callable[[], dict[str, float]]) -> dict[str, float]:
    """Figures of the mean weights; the model's own weights and mode are put back."""
    own = {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(mean.mean)
    model.eval()
    figures = validate()
    model.load_state_dict(own)
    model.train()
    return {f"validation/{name}": value for name, value in figures.items()}
