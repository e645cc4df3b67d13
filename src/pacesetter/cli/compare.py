"""`pacesetter compare`: the main job."""

import click

from pacesetter.api import defaults
from pacesetter.cli.exits import NO_ANSWER
from pacesetter.cli.options import WHOLE, training_options
from pacesetter.cli.output import Output
from pacesetter.cli.programs import program_options, task_of
from pacesetter.cli.progress import Watch
from pacesetter.cli.session import training
from pacesetter.errors import WorkFailed

__all__ = ["compare"]


@click.command(short_help="Compare rates, schedules and optimizers on one task.")
@click.argument("task", default="digits-mlp")
@click.option(
    "--lr",
    metavar="RATES",
    default=defaults.GRID,
    show_default=True,
    help="LOW:HIGH:PER_DECADE, or a list such as 1e-3,3e-3,1e-2.",
)
@click.option("--optimizer", "optimizers", metavar="RULE", multiple=True, help="One or more.  [default: adam]")
@click.option("--schedule", "schedules", metavar="SCHEDULE", multiple=True, help="One or more.  [default: constant]")
@click.option(
    "--strategy",
    "strategies",
    metavar="PAIR",
    multiple=True,
    help="An optimizer and a schedule beside the product of the two options above; alone, instead of it.",
)
@click.option("--seeds", type=WHOLE, metavar="N", default=3, show_default=True, help="How many; an interval needs 3.")
@click.option("--out", metavar="DIR", help="Write report.html and pictures there.")
@program_options
@training_options
def compare(
    task: str,
    lr: str,
    optimizers: tuple[str, ...],
    schedules: tuple[str, ...],
    strategies: tuple[str, ...],
    seeds: int,
    out: str | None,
    command: str | None,
    timeout: str | None,
    maximize: tuple[str, ...],
    json_target: str | None,
    store: str,
    **options: object,
) -> int:
    """Compare learning rates, schedules and optimizers on one task, side by side.

    TASK is a built-in name (see `pacesetter tasks`), path/to/file.py:name or package.module:name, where the name is a
    Task or a function that returns one. Every optimizer is trained with every schedule, at every rate, under every
    seed; each strategy is then judged at its own best rate. All of it is kept in the store while it runs: Ctrl-C
    loses nothing, and the same command with --study NAME goes on.

    With --command each run is a process: any program that prints lines such as {"step": 22, "valid_loss": 1.9}. Then
    --steps says how many updates it makes, and --workers how many programs run side by side (1).

    \b
    Examples:
      pacesetter compare digits-mlp --lr 1e-4:1:4 --seeds 3
      pacesetter compare my_task.py:task --optimizer adam --optimizer "sgd(momentum=0.9)"
      pacesetter compare --schedule "warmup(0.05) >> cosine()" --out results
      pacesetter compare --strategy "sgd plateau" --strategy "sgd(momentum=0.9) triangular"
      pacesetter compare my_task.py:task --lr 1e-5:10:2 --seeds 2 --json -
      pacesetter compare --command "python train.py --lr {lr} --seed {seed}" --steps 1000

    Exit codes: 0 answered, 1 the work failed, 2 bad input, 3 no lane learned, 130 interrupted.
    """
    output, watch = Output(json_target), Watch()
    with output.guarded(), training(watch, store):
        from pacesetter.api.compare import compare as run

        study = run(
            task_of(task, command, timeout, maximize),
            lr=lr,
            optimizers=optimizers or None,
            schedules=schedules or None,
            strategies=strategies,
            seeds=seeds,
            store=store,
            out=out,
            progress=watch,
            **options,  # type: ignore[arg-type]  # click gives each option under the keyword's own name and type
        )
    from pacesetter.cli.ending import finish, no_answer

    finish(study, output, study)
    if all(record.outcome == "failed" for record in study.lanes):
        raise WorkFailed(f"no lane could be trained: {study.lanes[0].message}")
    if not study.learned:
        click.echo(f"no answer: {no_answer(study)}", err=True)
        return NO_ANSWER
    return 0
