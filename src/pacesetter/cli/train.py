"""`pacesetter train`: one recipe, its weights and its curve."""

import click

from pacesetter.api import defaults
from pacesetter.cli.exits import NO_ANSWER
from pacesetter.cli.options import training_options
from pacesetter.cli.output import Output
from pacesetter.cli.programs import program_options, task_of
from pacesetter.cli.progress import Watch
from pacesetter.cli.session import training
from pacesetter.errors import WorkFailed

__all__ = ["train"]


@click.command(short_help="Train one recipe; keep its weights and curve.")
@click.argument("task", default="digits-mlp")
@click.option("--recipe", metavar="RECIPE", required=True, help="Optimizer, rate and schedule, as in the examples.")
@click.option("--out", metavar="DIR", help=f"Where both are left.  [default: {defaults.OUT}/ and the study's name]")
@program_options
@training_options
def train(
    task: str,
    recipe: str,
    out: str | None,
    command: str | None,
    timeout: str | None,
    maximize: tuple[str, ...],
    json_target: str | None,
    store: str,
    **options: object,
) -> int:
    """Train one recipe; leaves weights.safetensors and curve.csv in --out, and the curve in the store.

    With --command a program is run (see `pacesetter compare --help`), which keeps its weights itself.

    \b
    Examples:
      pacesetter train digits-mlp --recipe "adam lr=3e-3 warmup(0.05) >> cosine()"
      pacesetter train my_task.py:task --recipe "sgd(momentum=0.9) lr=0.1" --steps 2000 --out run-1
      pacesetter train --command "python train.py --lr {lr}" --recipe lr=0.01 --steps 1000
    """
    output, watch = Output(json_target), Watch()
    with output.guarded(), training(watch, store):
        from pacesetter.api.output import own_folder
        from pacesetter.api.train import train as run

        done = run(
            task_of(task, command, timeout, maximize),
            recipe,
            store=store,
            out=out or own_folder,
            progress=watch,
            **options,  # type: ignore[arg-type]  # click gives each option under the keyword's own name and type
        )
    from pacesetter.cli import lanes
    from pacesetter.cli.ending import finish
    from pacesetter.records import Outcome

    finish(done, output, lanes.one(done.record, 0))
    record = done.lanes[0]
    if record.outcome is Outcome.FAILED:
        raise WorkFailed(f"the lane could not be trained: {record.message}")
    if record.outcome is Outcome.DIVERGED:
        click.echo(f"no answer: the lane {record.message or record.outcome.sentence}", err=True)
        return NO_ANSWER
    return 0
