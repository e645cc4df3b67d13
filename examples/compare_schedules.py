"""Schedules side by side, each at its own best rate, and the pictures of the comparison.

python examples/compare_schedules.py [FOLDER]    leaves report.html and pictures in FOLDER, or else in a temporary one
"""

import sys
import tempfile

import pacesetter as ps


def main(folder: str) -> None:
    study = ps.compare(
        "digits-mlp",
        lr="0.03:3:1",
        optimizers="sgd(momentum=0.9)",
        schedules=["constant", "warmup(0.1) >> cosine", "triangular", "plateau(factor=0.3, patience=2)"],
        seeds=2,  # three or more, for an interval; two keep the example short
        steps=80,
        out=folder,
    )
    study.show()
    for answer in sorted(study.answers, key=lambda answer: answer.valid_loss or float("inf")):
        print(f"{answer.schedule}: best rate tried {answer.best_tried}, validation loss {answer.valid_loss:.4f}")
    print("written:", *study.written, sep="\n  ")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="pacesetter-"))
