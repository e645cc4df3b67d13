"""Train one recipe, keep its weights and curve, and load the weights into the model again.

python examples/train_a_recipe.py [FOLDER]    leaves weights.safetensors and curve.csv in FOLDER, or a temporary one
"""

import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

import pacesetter as ps


def main(folder: str) -> None:
    recipe = ps.Recipe.parse("adam lr=3e-3 warmup(0.05) >> cosine()")
    task = ps.tasks.load("digits-mlp")
    study = ps.train(task, recipe, seed=0, out=folder)
    (lane,) = study.lanes
    print(f"{recipe}: {lane.outcome}, {lane.curve.steps} steps, validation loss {lane.curve.final_valid_loss:.4f}")
    for finding in lane.findings:
        print(f"  {finding.name}: {finding.text}")

    model = task.make_model()
    model.load_state_dict(load_file(Path(folder) / "weights.safetensors"))
    images, targets = ps.tasks.digits_mlp.make_data()[1]
    with torch.no_grad():
        right = (model(images).argmax(-1) == targets).float().mean()
    print(f"accuracy of the weights in {folder}: {right:.3f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="pacesetter-"))
