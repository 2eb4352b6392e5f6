"""AdamW: see `adam`, which makes both."""

from escada.training.optimizers.adam import build

__all__ = ["build"]
