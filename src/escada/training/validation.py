"""The validation sample that a training looks at on schedule: the ruler on a few documents."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.models.contract import LanguageModel
from escada.spec import Spec
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer
from escada.training.loop import Validation


def ruler_validation(
    spec: Spec, tokenizer: Tokenizer, documents: list[Document], device: torch.device
) -> Callable[[LanguageModel], Validation]:
    """A function that scores a model on `documents` in fp32, as the ruler does."""

    def validate(model: LanguageModel) -> Validation:
        scores = score_documents(
            model,
            tokenizer,
            documents,
            context_tokens=spec.evaluation.context_tokens or spec.train.window_tokens,
            device=device,
        )
        loss = float(scores.nats.sum()) / int(scores.tokens.sum())
        assert math.isfinite(loss)
        return Validation(bits_per_byte=bits_per_byte(scores), loss=loss)

    return validate
