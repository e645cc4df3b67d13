"""The range tests of other tools: one short run whose rate rises, and a rule that reads a rate off its losses.

torch-lr-finder and Lightning run as they are installed; fastai, which does not import beside this torch, by the
formulas of its documentation. Each has the settings that it has by default. None of them knows of schedules.
"""

import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import numpy as np
import torch
from _plain_ends import one_thread
from _suggestion import Suggestion
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from pacesetter.tasks import Task

Array = NDArray[np.float64]
Method = Callable[[Task, str, str, int], Suggestion]
ITERATIONS = 100


def torch_lr_finder(task: Task, optimizer: str, schedule: str, seed: int) -> Suggestion:
    """The package, from 1e-7 as its example has it; the suggestion comes with its picture, whose time is left out."""
    import matplotlib as mpl

    mpl.use("agg")
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()), one_thread():
        warnings.simplefilter("ignore")
        from matplotlib.figure import Figure
        from torch_lr_finder import LRFinder

        model, loader = _start(task, seed)
        began = time.perf_counter()
        finder = LRFinder(model, torch_optimizer(optimizer, model, 1e-7), task.loss, device="cpu")
        finder.range_test(loader, end_lr=10, num_iter=ITERATIONS)
        seconds = time.perf_counter() - began
        try:
            _, lr = finder.plot(ax=Figure().subplots(), suggest_lr=True)
        except RuntimeError:  # too few points
            lr = None
    return Suggestion(lr, len(finder.history["lr"]), seconds)


def lightning(task: Task, optimizer: str, schedule: str, seed: int) -> Suggestion:
    """`Tuner.lr_find`."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()), one_thread():
        warnings.simplefilter("ignore")
        from lightning.pytorch import LightningModule, Trainer
        from lightning.pytorch.tuner import Tuner

        for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        inner, loader = _start(task, seed)

        class Module(LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.inner, self.lr = inner, 1e-3

            def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
                assert task.loss is not None
                return task.loss(self.inner(batch[0]), batch[1])

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch_optimizer(optimizer, self.inner, self.lr)

        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            trainer = Trainer(
                accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False, default_root_dir=folder,
            )  # fmt: skip
            found = Tuner(trainer).lr_find(Module(), train_dataloaders=loader)
            lr = found.suggestion()
            seconds = time.perf_counter() - began
    return Suggestion(lr, len(found.results["lr"]), seconds)


def fastai(rule: Callable[[Array, Array], float]) -> Method:
    """A sweep from 1e-7 to 10, its losses smoothed and cut, and one of the four rules on it."""

    def method(task: Task, optimizer: str, schedule: str, seed: int) -> Suggestion:
        began = time.perf_counter()
        with one_thread():
            lrs, losses = _sweep(task, optimizer, seed)
        made = len(lrs)
        lrs, losses = lrs[ITERATIONS // 10 : -5], losses[ITERATIONS // 10 : -5]
        if np.isnan(losses).any():
            known = int(np.isnan(losses).argmax())
            lrs, losses = lrs[:known], losses[:known]
        lr = rule(lrs, losses) if len(lrs) > 1 else None
        return Suggestion(lr, made, time.perf_counter() - began)

    return method


def _sweep(task: Task, optimizer: str, seed: int) -> tuple[Array, Array]:
    """(rates, mean losses), each mean over the past with weight 0.98, freed of its start; ends at 4 times the least."""
    assert task.loss is not None
    model, loader = _start(task, seed)
    made = torch_optimizer(optimizer, model, 1e-7)
    lrs: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for k, (x, y) in zip(range(ITERATIONS), _forever(loader), strict=False):
        lrs.append(1e-7 * (10 / 1e-7) ** (k / ITERATIONS))
        made.param_groups[0]["lr"] = lrs[-1]
        loss = task.loss(model(x), y)
        loss.backward()
        made.step()
        made.zero_grad()
        mean = 0.98 * mean + 0.02 * float(loss)
        losses.append(mean / (1 - 0.98 ** (k + 1)))
        if losses[-1] > 4 * np.nanmin(losses):
            break
    return np.array(lrs), np.array(losses)


def valley(lrs: Array, losses: Array) -> float:
    """In the longest falling run of losses that need not be neighbours, a little beyond its first third."""
    length = np.ones(len(losses), int)
    for k in range(1, len(losses)):
        length[k] = 1 + max(length[:k][losses[:k] > losses[k]], default=0)
    end, longest = int(length.argmax()), int(length.max())
    if longest == 1:
        return float(lrs[0])
    return float(lrs[end - longest + longest // 3 + longest // 6])


def slide(lrs: Array, losses: Array) -> float:
    """From the right, down to the last rate whose slope is unlike that of 15 rates later."""
    slope = np.gradient(losses)
    last = max(len(losses) - 16, 0)
    for left in range(len(losses) - 16, -1, -1):
        if abs(slope[left + 15] - slope[left]) <= 0.005:
            break
        last = left
    return float(lrs[last])


def minimum(lrs: Array, losses: Array) -> float:
    """A tenth of the rate of the least loss."""
    return float(lrs[losses.argmin()]) / 10


def steep(lrs: Array, losses: Array) -> float:
    """Where the loss falls fastest in log lr."""
    return float(lrs[(np.diff(losses) / np.diff(np.log(lrs))).argmin()])


def torch_optimizer(text: str, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """The fused optimizer that `text` names."""
    if text == "adam":
        return torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, fused=True)


def _start(task: Task, seed: int) -> tuple[nn.Module, DataLoader[tuple[Tensor, ...]]]:
    torch.manual_seed(seed)
    model = task.make_model()
    generator = torch.Generator().manual_seed(seed)
    data = TensorDataset(*task.train)
    return model, DataLoader(data, batch_size=task.batch_size, shuffle=True, drop_last=True, generator=generator)


def _forever(loader: DataLoader[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    while True:
        yield from loader


FINDERS: dict[str, Method] = {
    "torch-lr-finder": torch_lr_finder,
    "lightning": lightning,
    "fastai-valley": fastai(valley),
    "fastai-slide": fastai(slide),
    "fastai-minimum": fastai(minimum),
    "fastai-steep": fastai(steep),
}
