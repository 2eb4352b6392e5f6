"""The parts of a mixture, each alone by the ruler: what counting reaches, and what the network.

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
    """What the ruler found of each part of a mixture.

    Attributes:
        parts: by the names that the model gives them.
    """

    parts: dict[str, DocumentsResult]

    def figures(self) -> list[Figure]:
        """Bits per byte of each."""
        return [
            Figure(name=name, value=part.bits_per_byte, unit="bits per byte", ci95=part.ci95)
            for name, part in self.parts.items()
        ]


class Parts(Task[PartsResult]):
    """The ruler on the test documents, of each model that the run's model mixes."""

    name = "parts"
    result = PartsResult
    done = "measured its parts on test documents"

    @property
    def shows_figures(self) -> bool:
        """They are shown as they are."""
        return True

    def applies(self, subject: Subject) -> bool:
        """Whether the model is a mixture; its class says so, no weights are read."""
        model: type[LanguageModel] = MODELS.load(subject.run.spec.model.kind).Model
        return model.parts is not LanguageModel.parts

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The corpus and the split of it."""
        return {"corpus": subject.corpus.hash, "split": "test"}

    def evaluate(self, subject: Subject) -> PartsResult:
        """Score the documents with each part."""
        corpus, tokenizer = subject.corpus, subject.run.tokenizer
        validation, test = (list(corpus.documents(split)) for split in ("validation", "test"))
        found: dict[str, DocumentsResult] = {}
        for name, part in subject.model.parts().items():
            scores = score_documents(part, tokenizer, test)
            found[name] = summarise(
                scores,
                tokenizer,
                profile=corpus.profile,
                corpus_hash=corpus.hash,
                split="test",
                beside=score_documents(part, tokenizer, validation),
            )
        return PartsResult(parts=found)


PARTS = Parts()
TASKS = (PARTS,)
