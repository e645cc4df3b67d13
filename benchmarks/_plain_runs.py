"""Plain runs one after the other, as a script without Pacesetter makes them: `_plain_runs.py RATES SEEDS`."""

import sys

import torch

from pacesetter import tasks


def main() -> None:
    """Train digits-mlp at each rate under each seed, with the evaluations that Pacesetter makes."""
    rates, seeds = [float(rate) for rate in sys.argv[1].split(",")], int(sys.argv[2])
    task = tasks.load("digits-mlp")
    (images, targets), (valid_images, valid_targets) = task.train, task.valid
    size, due = task.batch_size, set(task.evaluation_steps(task.total_steps))

    def evaluate(model: torch.nn.Module) -> tuple[float, float]:
        model.eval()
        loss = right = 0.0
        with torch.no_grad():
            for x, y in zip(valid_images.split(size), valid_targets.split(size), strict=True):
                output = model(x)
                loss += float(task.loss(output, y)) * len(x)
                right += float((output.argmax(-1) == y).float().mean()) * len(x)
        model.train()
        return loss / len(valid_images), right / len(valid_images)

    for seed in range(seeds):
        for lr in rates:
            torch.manual_seed(seed)
            model = task.make_model()
            optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
            generator = torch.Generator().manual_seed(seed)
            losses, step = [], 0
            found = [evaluate(model)]
            while step < task.total_steps:
                order = torch.randperm(len(images), generator=generator)
                for rows in order[: len(order) // size * size].split(size):
                    if step == task.total_steps:
                        break
                    optimizer.zero_grad()
                    loss = task.loss(model(images[rows]), targets[rows])
                    loss.backward()
                    optimizer.step()
                    losses.append(loss.detach())
                    step += 1
                    if step in due:
                        found.append(evaluate(model))
            print(seed, lr, found[-1], float(torch.stack(losses).mean()))


if __name__ == "__main__":
    main()
