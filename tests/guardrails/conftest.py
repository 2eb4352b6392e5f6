"""What the guardrails' tests share with those of the evaluation."""

from tests.evaluation.conftest import documents, scores_of, tiny, tokenizers  # noqa: F401
