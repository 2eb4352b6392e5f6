"""AdamW; built by `adam`."""

from escada.training.optimizers.adam import build

__all__ = ["build"]
