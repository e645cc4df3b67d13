"""Optional packages: which extra brings each, and the error when one is needed and not installed."""

from importlib.util import find_spec

from pacesetter.errors import MissingPackage

__all__ = ["EXTRAS", "extra_of", "require"]

# By extra of pyproject.toml: what it is for, and the modules that its job imports.
EXTRAS = {
    "store": ("keeping and judging studies", ("sqlalchemy", "scipy", "threadpoolctl")),
    "train": ("training", ("torch", "safetensors", "sqlalchemy", "scipy", "threadpoolctl")),
    "report": ("the report", ("altair", "vl_convert", "jinja2", "markupsafe")),
    "frame": ("data frames", ("pandas",)),
    "parquet": ("Parquet files", ("pyarrow",)),
    "optuna": ("Optuna's samplers", ("optuna",)),
    "jax": ("the optax connector", ("jax", "optax")),
    "keras": ("the Keras connector", ("keras",)),
    "lightning": ("the Lightning connector", ("lightning",)),
    "transformers": ("the transformers connector", ("transformers", "accelerate")),
}


def require(extra: str) -> None:
    """Raise MissingPackage when a package of `extra` is not installed; imports nothing."""
    purpose, packages = EXTRAS[extra]
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackage.of(package, extra, purpose)


def extra_of(module: str) -> str | None:
    """The smallest extra that brings `module` (`torch`, `torch.nn`), None when none does."""
    top = module.partition(".")[0]
    return next((extra for extra, (_, packages) in EXTRAS.items() if top in packages), None)
