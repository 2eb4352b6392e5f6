"""What a training minimises: the nats of the targets, summed, as one module.

Model and loss are one forward pass, so that a compiler sees both and a wrapper for several
processes has one thing to wrap. Validation and checkpoints use the model itself: nothing of this
shows in the names of its weights.

Shapes: B sequences, T tokens in a window, V vocabulary.
"""

from __future__ import annotations

from torch import Tensor, nn

from escada.models.contract import LanguageModel
from escada.spec import TrainSpec


class Objective(nn.Module):
    """The training loss of a model."""

    def __init__(self, model: LanguageModel, train: TrainSpec) -> None:
        super().__init__()
        self.model = model
        self.last_only = train.objective == "last"
        self.label_smoothing = train.label_smoothing

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Nats summed over the trained targets of windows (B, T + 1), a scalar."""
        targets_BT = ids_BT[:, 1:]
        logits_BTV = self.model(ids_BT[:, :-1])
        if self.last_only:
            logits_BTV, targets_BT = logits_BTV[:, -1:], targets_BT[:, -1:]
        return nn.functional.cross_entropy(
            logits_BTV.flatten(0, 1),
            targets_BT.flatten(),
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )
