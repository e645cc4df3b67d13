"""The studies behind `the-learning-rate.md`: what each one asks, and the command that asks the same."""

import shlex
from dataclasses import dataclass

import pacesetter as ps

# Five seeds: with three, paired differences of the size seen here could hardly be told from chance.
SEEDS = 5
# The two teaching tasks start at a fixed point and have no noise, so that every seed would train the same run.
ONE_SEED = 1


@dataclass(frozen=True)
class Question:
    """One study: its name on the page, and the arguments of `compare`. `lr` is in the command line's form."""

    name: str
    task: str
    lr: str
    optimizers: tuple[str, ...] = ("sgd",)
    schedules: tuple[str, ...] = ("constant",)
    seeds: int = SEEDS
    steps: int | None = None

    @property
    def engine(self) -> str:
        """Named, not measured, so that the page does not depend on which engine is faster today."""
        return "looped" if self.seeds == ONE_SEED else "vectorised"

    @property
    def command(self) -> str:
        """The same study on the command line."""
        words = ["pacesetter", "compare", self.task]
        words += [word for rule in self.optimizers for word in ("--optimizer", rule)]
        if self.schedules != ("constant",):
            words += [word for schedule in self.schedules for word in ("--schedule", schedule)]
        words += ["--lr", self.lr, "--seeds", str(self.seeds)]
        words += [] if self.steps is None else ["--steps", str(self.steps)]
        words += ["--engine", self.engine, "--out", self.name]
        return " ".join(word if word.isidentifier() else _quoted(word) for word in words)

    def ask(self, store: str | None) -> ps.Study:
        """Train it, or read it from `store` when it has been trained there."""
        return ps.compare(
            self.task,
            lr=self.lr,
            optimizers=self.optimizers,
            schedules=self.schedules,
            seeds=self.seeds,
            steps=self.steps,
            engine=self.engine,
            store=store,
            study=None if store is None else self.name,
        )


RULE = Question("rule", "quadratic", "0.05", seeds=ONE_SEED)
BOWL = Question("bowl", "quadratic", "0.001,0.003,0.01,0.03,0.09,0.095,0.099,0.101,0.11,0.15", seeds=ONE_SEED)
RATES = Question("rates", "digits-mlp", "1e-4:10:2")
WELLS = Question(
    "wells", "two-wells", "0.1,0.3,1,1.8,3", schedules=("constant", "triangular", "cosine"), seeds=ONE_SEED
)
LONG = Question("long", "digits-mlp", "0.01,0.03,0.1,0.3,1", steps=1320)
FINE = "0.03:3:4"
DECAY = Question("decay", "digits-mlp", FINE, schedules=("constant", "step", "exponential", "cosine"))
PLATEAU = Question("plateau", "digits-mlp", FINE, schedules=("constant", "plateau", "plateau(factor=0.5, patience=2)"))
CYCLES = Question("cycles", "digits-mlp", FINE, schedules=("constant", "triangular", "triangular(cycle=0.25)"))
RULES = Question("rules", "digits-mlp", "1e-4:10:2", optimizers=("sgd", "adagrad", "rmsprop", "adam"))

ALL = (RULE, BOWL, RATES, WELLS, LONG, DECAY, PLATEAU, CYCLES, RULES)


def _quoted(word: str) -> str:
    """Quoted for a shell where it must be, with double quotes: they also hold on Windows."""
    return word if shlex.quote(word) == word else f'"{word}"'
