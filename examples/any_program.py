"""A training program without PyTorch: which learning rate should it be run with?

python examples/any_program.py                              compares learning rates: it runs itself, once for each
python examples/any_program.py --lr 1 --steps 200 --seed 0  is the training program

The same on the command line, for a program in any language:
pacesetter compare --command "python examples/any_program.py --lr {lr} --steps {steps} --seed {seed}" --steps 200
"""

import argparse
import json
import sys

import numpy as np


def train(lr: float, steps: int, seed: int) -> None:
    """Logistic regression by gradient descent; a line of JSON now and then is all that Pacesetter needs."""
    data = np.random.default_rng(0)
    points = np.c_[data.normal(size=(600, 2)), np.ones(600)]
    above = (points @ [2.0, -1.0, 0.5] + data.logistic(size=600)) > 0
    random = np.random.default_rng(seed)
    weights = random.normal(size=3)
    for step in range(steps + 1):
        if step % 10 == 0:
            output = points[400:] @ weights
            loss = np.mean(np.logaddexp(0, output) - above[400:] * output)
            right = np.mean((output > 0) == above[400:])
            print(json.dumps({"step": step, "valid_loss": loss, "accuracy": right}), flush=True)
        rows = random.integers(400, size=16)
        chance = (1 + np.tanh(points[rows] @ weights / 2)) / 2
        weights -= lr * (chance - above[rows]) @ points[rows] / len(rows)


def compare() -> None:
    """Run this file as a program, two at a time, for every rate and seed."""
    import pacesetter as ps

    words = [sys.executable, __file__, "--lr", "{lr}", "--steps", "{steps}", "--seed", "{seed}"]
    program = ps.Command(words, maximize=["accuracy"])
    study = ps.compare(program, lr="1e-2:100:1", seeds=3, steps=200, workers=2)
    study.show()
    (answer,) = study.answers
    print(f"run it with --lr {answer.lr}")


def main() -> None:
    if len(sys.argv) == 1:
        return compare()
    parser = argparse.ArgumentParser()
    for name, kind in (("--lr", float), ("--steps", int), ("--seed", int)):
        parser.add_argument(name, type=kind, required=True)
    return train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
