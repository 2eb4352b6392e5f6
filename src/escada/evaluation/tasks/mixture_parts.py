"""The ruler on each part of a mixture model alone, such as n-gram counts and the network.

Subject(run, corpus).need(PARTS).parts["network"].bits_per_byte
"""

from __future__ import annotations

from collections.abc import Mapping

from escada.evaluation.ruler import score_documents
from escada.evaluation.task import Figure, Result, Subject, Task
from escada.evaluation.tasks.documents import DocumentsResult, summarise
from escada.models.contract import LanguageModel
from escada.spec import MODELS


class PartsResult(Result):
    """The ruler's figures for each part, by the model's name for it."""

    parts: dict[str, DocumentsResult]

    def figures(self) -> list[Figure]:
        """Bits per byte of each part."""
        return [
            Figure(name=name, value=part.bits_per_byte, unit="bits per byte", ci95=part.ci95)
            for name, part in self.parts.items()
        ]


class Parts(Task[PartsResult]):
    """The ruler on the test documents, for each part of a mixture model."""

    name = "parts"
    result = PartsResult
    done = "measured its parts on test documents"

    def applies(self, subject: Subject) -> bool:
        """Whether the model is a mixture; checks its class and reads no weights."""
        model: type[LanguageModel] = MODELS.load(subject.run.spec.model.kind).Model
        return model.parts is not LanguageModel.parts

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The corpus and split."""
        return {"corpus": subject.corpus.hash, "split": "test"}

    def evaluate(self, subject: Subject) -> PartsResult:
        """Score the documents with each part."""
        corpus, tokenizer = subject.corpus, subject.run.tokenizer
        found: dict[str, DocumentsResult] = {}
        for name, part in subject.model.parts().items():
            scores = score_documents(part, tokenizer, corpus.documents("test"))
            found[name] = summarise(
                scores,
                tokenizer,
                profile=corpus.profile,
                corpus_hash=corpus.hash,
                split="test",
                beside=score_documents(part, tokenizer, corpus.documents("validation")),
            )
        return PartsResult(parts=found)


PARTS = Parts()
TASKS = (PARTS,)
