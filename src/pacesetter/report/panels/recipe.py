"""The recommended recipe as code to paste: through Pacesetter, and in plain PyTorch where that is a line or two.

Of a task that is a program it is the program's own command, with the recommended rate.
"""

from typing import Any, NamedTuple

from markupsafe import Markup

from pacesetter import optimizers, schedules
from pacesetter.errors import InputError
from pacesetter.records import Lane, StudyRecord
from pacesetter.report import _best, _command, _html
from pacesetter.report._theme import Theme
from pacesetter.schedules._spans import steps_of

TITLE = "Code to paste"
ORDER = 15
WIDTH = 60  # characters of a line of code


class Code(NamedTuple):
    """The recipe's text, the code that uses it, and the same in plain PyTorch where that is short, else None.

    `line` is the command of a task that is a program, else None; then there is no code.
    """

    recipe: str
    ours: str
    plain: str | None
    line: str | None = None


def data(study: StudyRecord) -> Code | None:
    """Code for the recommended strategy; None when none is recommended."""
    best = _best.recommended(study)
    if best is None or best.recipe is None or best.lr is None:
        return None
    command = _command.of(study)
    if command is not None:
        lane = Lane(best.optimizer, best.schedule, best.lr, study.lanes[0].lane.seed, study.total_steps)
        return Code(best.recipe, "", None, command.line(lane))
    step = "    scheduler.step()"
    if _reacts(best.schedule):
        step += "\n\n# after every evaluation\nscheduler.observe(valid_loss)"
    params = ["model.parameters()", f"total_steps={study.total_steps}"]
    ours = (
        "import pacesetter as ps\n\n"
        f"{call('recipe = ps.Recipe.parse', [quoted(best.recipe)])}\n"
        f"{call('optimizer, scheduler = recipe.to_torch', params)}\n\n"
        "for inputs, targets in batches:\n"
        "    optimizer.zero_grad()\n"
        "    loss(model(inputs), targets).backward()\n"
        "    optimizer.step()\n" + step
    )
    return Code(best.recipe, ours, plain(best.optimizer, best.schedule, best.lr, study.total_steps))


def draw(data: Code, theme: Theme) -> Markup:
    """The code, each piece with a button that copies it."""
    pieces = [("With Pacesetter", data.ours)] if data.line is None else [("The program with this rate", data.line)]
    if data.plain is not None:
        pieces.append(("The same in plain PyTorch", data.plain))
    shell = (
        "<div class='code'><h3>{}</h3><button type='button' class='copy'>Copy</button><pre><code>{}</code></pre></div>"
    )
    note = "Put the length of your own training, in weight updates, for <code>total_steps</code>."
    if data.line is not None:
        note = "To be run in the folder that the comparison was run in."
    blocks = _html.join(Markup(shell).format(title, code) for title, code in pieces)
    return Markup(f"<p class='caption'>{note}</p>") + Markup("<div class='codes'>{}</div>").format(blocks)


def plain(optimizer: str, schedule: str, lr: float, total_steps: int) -> str | None:
    """Plain PyTorch for a rule and a schedule that `torch.optim` has under another name; None for any other."""
    try:
        rule = optimizers.parse(optimizer)
        pace = schedules.parse(schedule)
        of_torch, usual = rule.torch_optimizer(), type(rule)().torch_optimizer()
    except (InputError, TypeError):
        return None
    if of_torch is None or usual is None:
        return None
    line = _schedule(schedule.partition("(")[0], pace, lr, total_steps)
    if line is None:
        return None
    name, keywords = of_torch
    said = [f"{key}={value!r}" for key, value in keywords.items() if usual[1].get(key) != value]
    made = f"import torch\n\n{call(f'optimizer = torch.optim.{name}', ['model.parameters()', f'lr={lr!r}', *said])}"
    if not line:
        return made
    made += f"\n{call(f'scheduler = torch.optim.lr_scheduler.{line[0]}', ['optimizer', *line[1:]])}"
    return made if line[0] != "ReduceLROnPlateau" else f"{made}\n\n# after every evaluation\nscheduler.step(valid_loss)"


def call(head: str, arguments: list[str]) -> str:
    """A call on one line if it fits into the page's column, else with an argument a line."""
    line = f"{head}({', '.join(arguments)})"
    return line if len(line) <= WIDTH else f"{head}(\n" + "".join(f"    {one},\n" for one in arguments) + ")"


def _reacts(schedule: str) -> bool:
    try:
        return not schedules.parse(schedule).pure
    except InputError:
        return False


def quoted(text: str) -> str:
    """A Python string in double quotes, as the code around it has them."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _schedule(name: str, pace: Any, lr: float, total: int) -> list[str] | None:
    """Class in `torch.optim.lr_scheduler` and its arguments; empty where none is needed, None where there is none."""
    if getattr(pace, "span", 0) is not None or getattr(pace, "ends", "after") != "after":
        return None
    match name:
        case "constant":
            return [] if pace.value == 1 else None
        case "cosine":
            return ["CosineAnnealingLR", f"T_max={total}", *_unless_zero(eta_min=lr * pace.final)]
        case "linear":
            return ["LinearLR", "start_factor=1.0", f"end_factor={pace.final!r}", f"total_iters={total}"]
        case "step" | "exponential":
            every = steps_of(pace.every, total)
            if name == "step":
                return ["StepLR", f"step_size={every}", f"gamma={pace.decay!r}"]
            return ["ExponentialLR", f"gamma={pace.decay ** (1 / every):.8g}"]
        case "plateau" if pace.threshold == 1e-4 and pace.threshold_mode == "rel" and pace.mode == "min":
            rest = _unless_zero(cooldown=pace.cooldown, min_lr=lr * pace.min_factor)
            return ["ReduceLROnPlateau", f"factor={pace.ratio!r}", f"patience={pace.patience}", *rest]
    return None


def _unless_zero(**arguments: float) -> list[str]:
    return [f"{name}={value!r}" for name, value in arguments.items() if value]
