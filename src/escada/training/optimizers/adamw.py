"""AdamW; built by `adam`."""

from escada.training.optimizers.adam import SHARDABLE, build, state_entries

__all__ = ["SHARDABLE", "build", "state_entries"]
