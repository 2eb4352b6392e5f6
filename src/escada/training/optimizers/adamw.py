"""AdamW; built by `adam`."""

from escada.training.optimizers.adam import build, state_entries

__all__ = ["build", "state_entries"]
