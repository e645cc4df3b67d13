"""`pacesetter find`: the rate to use, with an interval, verified."""

import click

from pacesetter.api import defaults
from pacesetter.cli.exits import NO_ANSWER
from pacesetter.cli.options import training_options
from pacesetter.cli.output import Output
from pacesetter.cli.programs import program_options, task_of
from pacesetter.cli.progress import Watch
from pacesetter.cli.session import training
from pacesetter.errors import InputError, WorkFailed

__all__ = ["find"]


class _Number(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """A number; which ones are allowed is for the verb to say."""

    name = "x"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return float(str(value))
        except ValueError:
            name = param.name if param else "value"
            raise InputError(f"`{name}` must be a number, got {name}={value!r}") from None


@click.command(short_help="Find the learning rate to use, and verify it.")
@click.argument("task", default="digits-mlp")
@click.option("--optimizer", metavar="RULE", help="The optimizer.  [default: adam]")
@click.option("--schedule", metavar="SCHEDULE", help="The schedule.  [default: constant]")
@click.option(
    "--lr", metavar="RANGE", help=f"LOW:HIGH to look in first, or the only rates.  [default: {defaults.GRID[:-2]}]"
)
@click.option(
    "--strategy", metavar="SEARCH", default="pace", show_default=True, help="pace, grid, halving, optuna:tpe ..."
)
@click.option("--quick", is_flag=True, help="A first look: short runs alone, nothing is verified.")
@click.option("--budget", type=_Number(), metavar="RUNS", help="The most to spend, in full trainings.  [default: 6]")
@click.option("--seconds", type=_Number(), metavar="S", help="The most to spend in wall time.")
@click.option("--metric", metavar="NAME", help="Judge by this metric of the task.  [default: validation loss]")
@click.option("--out", metavar="DIR", help="Write report.html and pictures there.")
@program_options
@training_options
def find(
    task: str,
    command: str | None,
    timeout: str | None,
    maximize: tuple[str, ...],
    json_target: str | None,
    store: str,
    **options: object,
) -> int:
    """Find the learning rate to use with one optimizer and schedule, how sure that is, and where it breaks.

    Short runs at many rates, longer ones where they point, full ones around the best: about six full trainings
    together, or one and a half with --quick. TASK is as for `pacesetter compare`. What it will cost is said before it
    begins, and everything is kept in the store: the same command with --study NAME goes on.

    \b
    Examples:
      pacesetter find
      pacesetter find my_task.py:task --optimizer adam --schedule "warmup(0.05) >> cosine()"
      pacesetter find my_task.py:task --quick
      pacesetter find my_task.py:task --metric accuracy --budget 10 --json -
      pacesetter find --command "python train.py --lr {lr} --steps {steps} --seed {seed}" --steps 1000

    Exit codes: 0 answered, 1 the work failed, 2 bad input, 3 no rate to give, 130 interrupted.
    """
    output, watch = Output(json_target), Watch()
    with output.guarded(), training(watch, store):
        from pacesetter.api.find import find as run

        answer = run(
            task_of(task, command, timeout, maximize),
            store=store,
            progress=watch,
            **options,  # type: ignore[arg-type]  # click gives each option under the keyword's own name and type
        )
    from pacesetter.cli.ending import finish

    study = answer.study
    assert study is not None
    finish(study, output, study)
    if all(record.outcome == "failed" for record in study.lanes):
        raise WorkFailed(f"no lane could be trained: {study.lanes[0].message}")
    if answer.lr is None:
        why = next(
            (finding.text for finding in answer.findings if finding.level in ("bad", "warning")), "no rate learned"
        )
        click.echo(f"no answer: {why}", err=True)
        return NO_ANSWER
    return 0
