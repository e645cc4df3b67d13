"""Rules as torch optimizers beside other implementations of the same: the time of a step, and the memory kept.

    python benchmarks/faces.py [--rule TEXT ...] [--numbers N ...] [--repeats 7] [--json FILE]

For each of our rules that torch has not, the step that `rule.to_torch` makes against the fastest of the published
implementations, on one thread, for two blocks of a transformer (24 tensors) of about 1e5, 1e6 and 1e7 numbers in
float32. Both are timed in turn on the same gradients, which are written anew before each step, as some optimizers
change them. The process keeps the memory that it frees, as one does that trains a model and frees larger tensors than
these: else what a step makes and frees goes back to the system or does not, depending on what ran before. Columns:

    time          of our step to theirs; the median of the repeats' ratios
    ms            of our step, the fastest
    kept          bytes of state for each number, ours and theirs
    made          the most bytes for each number that lie about during our step, above those that are kept
"""

import argparse
import inspect
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pacesetter import optimizers
from pacesetter.cli.session import keep_freed_memory

GOAL = 1.2
SECONDS = 0.25
"""Aim of one repeat of one optimizer."""
SLOW = 3.0
"""Seconds of a step, from which on it is not waited for."""
NUMBERS = (10**5, 10**6, 10**7)
COLUMNS = "{:<32}{:>9}{:>8}{:>9}{:>9}{:>9}{:>8}   {}"

Make = Callable[[list[Tensor]], Any]


def others() -> dict[str, list[tuple[str, Make]]]:
    """Other implementations of our rules, by our text."""
    from dadaptation import DAdaptAdam, DAdaptSGD
    from dog import DoG, LDoG
    from mechanic_pytorch import mechanize
    from momo import Momo, MomoAdam
    from prodigyopt import Prodigy
    from pytorch_optimizer import LARS, Lamb, Lion
    from schedulefree import AdamWScheduleFree, SGDScheduleFree

    adam = [
        (f"torch's Adam, {form}", lambda p, form=form: torch.optim.Adam(p, lr=1e-3, **{form: True}))
        for form in ("foreach", "fused")
    ]
    return {
        "lion": [(f"Lion, foreach={form}", lambda p, form=form: Lion(p, foreach=form)) for form in (True, False)],
        "lamb": [
            (f"Lamb, foreach={form}", lambda p, form=form: Lamb(p, pre_norm=False, foreach=form))
            for form in (True, False)
        ],
        "lars": [(f"LARS, foreach={form}", lambda p, form=form: LARS(p, foreach=form)) for form in (True, False)],
        "adam(gi_start=True)": adam[:1],
        "clip(adam, norm=1)": [(f"clip_grad_norm_ and {name}", Clipping.of(make)) for name, make in adam],
        "muon": [
            ("torch's Muon in bfloat16 and AdamW", lambda p: Muon(p, torch.bfloat16)),
            ("torch's Muon in float32 and AdamW", lambda p: Muon(p, torch.float32)),
        ],
        "schedule_free_sgd": [("schedulefree", lambda p: SGDScheduleFree(p, lr=0.1))],
        "schedule_free_adamw": [("schedulefree", lambda p: AdamWScheduleFree(p, lr=1e-3))],
        "dog(average=False)": [("dog-optimizer", DoG)],
        "ldog(average=False)": [("dog-optimizer", LDoG)],
        "prodigy": [("prodigyopt", Prodigy)],
        "dadapt_sgd": [("dadaptation", DAdaptSGD)],
        "dadapt_adam": [("dadaptation", DAdaptAdam)],
        "momo": [("momo-opt", Momo)],
        "momo_adam": [("momo-opt", MomoAdam)],
        "mechanic": [
            (f"mechanic-pytorch, {form}", lambda p, form=form: mechanize(torch.optim.AdamW)(p, lr=1e-3, **{form: True}))
            for form in ("foreach", "fused")
        ],
    }


class Clipping:
    """torch's clipping before an optimizer of torch's."""

    def __init__(self, params: list[Tensor], make: Make) -> None:
        self._params, self._within = params, make(params)
        self.state = self._within.state

    @classmethod
    def of(cls, make: Make) -> Make:
        """What makes one around the optimizer that `make` makes."""
        return lambda params: cls(params, make)

    def step(self) -> None:
        """Clip and update."""
        clip_grad_norm_(self._params, 1.0)
        self._within.step()


class Muon:
    """torch's Muon for matrices, and its fused AdamW for the rest."""

    def __init__(self, params: list[Tensor], precision: torch.dtype) -> None:
        self._precision = precision
        self._matrices = torch.optim.Muon([p for p in params if p.dim() == 2], lr=1e-3)
        self._rest = torch.optim.AdamW([p for p in params if p.dim() != 2], lr=1e-3, fused=True)

    @property
    def state(self) -> dict[Any, Any]:
        """Of both."""
        return {**self._matrices.state, **self._rest.state}

    def step(self) -> None:
        """Update; the iteration is in bfloat16 because torch's calls this method of the gradient."""
        in_bfloat16 = Tensor.bfloat16
        try:
            Tensor.bfloat16 = lambda one: one.to(self._precision)  # type: ignore[method-assign]
            self._matrices.step()
        finally:
            Tensor.bfloat16 = in_bfloat16  # type: ignore[method-assign]
        self._rest.step()


def shapes(numbers: int) -> list[tuple[int, ...]]:
    """Two blocks of a transformer: norms, attention and a hidden layer four times as wide, with biases."""
    width = round((numbers / 24) ** 0.5)
    block = [(width,)] * 4
    for rows, columns in ((3, 1), (1, 1), (4, 1), (1, 4)):
        block += [(rows * width, columns * width), (rows * width,)]
    return block * 2


class Timed:
    """An optimizer over weights of its own, and the times of its steps."""

    def __init__(self, make: Make, numbers: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.params = [torch.nn.Parameter(torch.randn(s, generator=generator) * 0.05) for s in shapes(numbers)]
        some = [[torch.randn(p.shape, generator=generator) * 1e-3 for p in self.params] for _ in range(3)]
        # Rules that estimate a distance run away if all gradients have one direction.
        self._grads = cycle([*some, *([-grad for grad in grads] for grads in some)])
        for p in self.params:
            p.grad = torch.zeros_like(p)
        self.optimizer = make(self.params)
        if hasattr(self.optimizer, "train"):
            self.optimizer.train()
        asked = inspect.signature(type(self.optimizer).step).parameters
        self._told = {"loss": torch.tensor(1.0)} if "loss" in asked else {}

    def step(self) -> float:
        """Seconds of one step."""
        torch._foreach_copy_([p.grad for p in self.params], next(self._grads))
        began = time.perf_counter()
        self.optimizer.step(**self._told)
        return time.perf_counter() - began

    def steps(self, count: int) -> float:
        """The mean of the middle half of some steps' seconds."""
        found = sorted(self.step() for _ in range(count))
        return statistics.mean(found[count // 4 : count - count // 4])

    def kept(self) -> float:
        """Bytes of state for each number."""
        return bytes_kept(self.optimizer) / sum(p.numel() for p in self.params)

    def made(self) -> float:
        """The most bytes for each number that lie about during a step."""
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            self.step()
        now = most = 0
        for event in profile.profiler.kineto_results.events():  # type: ignore[union-attr]
            if event.name() == "[memory]":
                now += event.nbytes()
                most = max(most, now)
        return most / sum(p.numel() for p in self.params)


def bytes_kept(optimizer: Any) -> int:
    """Bytes of all tensors in an optimizer's state, and in its groups."""

    def each(value: Any) -> int:
        if isinstance(value, Tensor):
            return value.numel() * value.element_size()
        if isinstance(value, dict):
            return sum(each(own) for own in value.values())
        return sum(each(own) for own in value) if isinstance(value, list | tuple) else 0

    groups = getattr(optimizer, "param_groups", [])
    beside = [value for group in groups for name, value in group.items() if name != "params"]
    return each(dict(optimizer.state)) + each(beside) + each(getattr(optimizer, "shared", {}))


def row(name: str, rule: Any, made: Sequence[tuple[str, Make]], numbers: int, repeats: int) -> dict[str, Any] | None:
    """Our rule against the fastest of the others; None if all of them are too slow to wait for."""
    ours = Timed(lambda params: rule.to_torch(params, 1e-3), numbers)
    theirs = {label: Timed(make, numbers) for label, make in made}
    theirs = {label: one for label, one in theirs.items() if min(one.step(), one.step()) < SLOW}
    if not theirs:
        return None
    once = max(ours.step(), ours.step())
    count = min(400, max(4, int(SECONDS / once)))
    fastest = min(theirs, key=lambda label: theirs[label].steps(min(count, 8)))
    pairs = [(ours.steps(count), theirs[fastest].steps(count)) for _ in range(repeats)]
    return {
        "row": f"{name} at {numbers:.0e}".replace("e+0", "e") + (" in bfloat16" if "bfloat16" in fastest else ""),
        "value": statistics.median(one / other for one, other in pairs),
        "goal": GOAL,
        "more_is_better": False,
        "note": fastest,
        "milliseconds": 1000 * min(one for one, _ in pairs),
        "kept": ours.kept(),
        "kept_by_theirs": theirs[fastest].kept(),
        "made": ours.made(),
    }


def main() -> None:
    """Print the table, and write it if asked to."""
    every = others()
    parser = argparse.ArgumentParser(description="Rules as torch optimizers beside other implementations.")
    parser.add_argument("--rule", action="append", choices=list(every))
    parser.add_argument("--numbers", type=lambda text: int(float(text)), action="append")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    print(COLUMNS.format("", "time", "goal", "ms", "kept", "theirs", "made", "beside"))
    found = []
    for text in options.rule or every:
        made = every[text]
        # Muon's precisions are not the same work: each is a row.
        beside = [[one] for one in made] if text == "muon" else [made]
        for numbers in options.numbers or NUMBERS:
            for others_of_row in beside:
                one = row(text, optimizers.parse(text), others_of_row, numbers, options.repeats)
                if one is None:
                    continue
                found.append(one)
                told = f"{one['value']:.2f}", f"<= {one['goal']:g}", f"{one['milliseconds']:.2f}"
                sizes = f"{one['kept']:.1f}", f"{one['kept_by_theirs']:.1f}", f"{one['made']:.1f}"
                print(COLUMNS.format(one["row"], *told, *sizes, one["note"]), flush=True)
    if options.json:
        machine = {"python": platform.python_version(), "torch": torch.__version__, "processor": platform.processor()}
        options.json.write_text(json.dumps({"machine": machine, "rows": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
