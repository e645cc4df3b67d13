"""Optional packages, asked for before the work that needs them begins."""

from importlib.util import find_spec

from pacesetter.errors import MissingPackage

__all__ = ["extra_of", "require"]

_NEEDS = {
    "train": ("training", ("torch", "sqlalchemy", "safetensors", "scipy")),
    "report": ("the report", ("altair", "vl_convert", "jinja2")),
}


def require(extra: str) -> None:
    """Raise MissingPackage when a package of `extra` ("train", "report") is not installed; imports nothing."""
    purpose, packages = _NEEDS[extra]
    for package in packages:
        if find_spec(package) is None:
            raise MissingPackage.of(package, extra, purpose)


def extra_of(module: str) -> str | None:
    """The extra that brings `module` (`torch`, `torch.nn`), None when none does."""
    top = module.partition(".")[0]
    return next((extra for extra, (_, packages) in _NEEDS.items() if top in packages), None)
