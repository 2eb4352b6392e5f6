"""A trained run in Python: text from it, what a text costs it, its figures and its card."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from escada.api.results import Samples, Surprisal
from escada.api.rows import Rows
from escada.choices import SPLITS
from escada.errors import EscadaError

if TYPE_CHECKING:
    from escada.api.inside import Inside
    from escada.evaluation.tasks.documents import DocumentsResult
    from escada.inside.views import EmbeddingMapView, NeighboursView, View, ViewRequest
    from escada.models.contract import LanguageModel
    from escada.runs.record import RunRecord
    from escada.runs.run import Run as RunFolder
    from escada.spec import Spec
    from escada.text.documents import Document
    from escada.text.tokenizers import Tokenizer


class Run:
    """A run's folder. The model is loaded when it is first needed, in evaluation mode."""

    def __init__(self, folder: RunFolder, *, device: str = "auto") -> None:
        self.folder = folder
        self._device = device

    @classmethod
    def open(cls, path: str | Path, *, device: str = "auto") -> Run:
        """Open a run's folder.

        Raises:
            EscadaError: not a run, or a damaged one.
        """
        from escada.runs.run import open_run

        return cls(open_run(Path(path)), device=device)

    @property
    def name(self) -> str:
        """The name of its rung."""
        return self.folder.spec.name

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.folder.path

    @property
    def spec(self) -> Spec:
        """The resolved spec."""
        return self.folder.spec

    @property
    def record(self) -> RunRecord:
        """What was recorded of its training: key, seed, setup, steps, seconds, FLOPs."""
        return self.folder.record

    @property
    def tokenizer(self) -> Tokenizer:
        """Its own copy of the tokenizer."""
        return self.folder.tokenizer

    @cached_property
    def model(self) -> LanguageModel:
        """Token ids (B, T) in, logits (B, T, V) out; the best checkpoint's weights."""
        from escada.runs.device import resolve_device

        return self.folder.load_model("best", resolve_device(self._device))

    def sample(
        self,
        prompts: str | Sequence[str] | None = None,
        *,
        n: int = 1,
        max_tokens: int = 200,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 0.95,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        greedy: bool = False,
        seed: int = 42,
        weights: str = "fp32",
        progress: Callable[[int], None] | None = None,
    ) -> Samples:
        """Continue each prompt `n` times; the same seed gives the same text.

        Args:
            prompts: None: the 20 default prompts.
            temperature: below 1 sharpens; 0 is greedy. top_k, min_p: 0 is off.
            weights: `fp32`, or narrower ones for speed (docs/generation.md).
            progress: called after each token with the number of tokens so far.

        Raises:
            EscadaError: a setting out of its range.
        """
        from escada.generation.decoding import generate
        from escada.generation.prompts import load_prompts
        from escada.generation.samplers import settings_as_written
        from escada.generation.weights import choose_weights

        settings = settings_as_written(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            greedy=greedy,
        )
        if prompts is None:
            prompts = [prompt.text for prompt in load_prompts()]
        texts = [prompts] if isinstance(prompts, str) else list(prompts)
        return Samples(
            generate(
                self.model,
                self.tokenizer,
                texts,
                settings,
                max_tokens=max_tokens,
                n=n,
                seed=seed,
                profile=self.spec.text.profile,
                weights=choose_weights(weights, self.model, rows=len(texts) * n),
                progress=progress,
            )
        )

    def surprisal(self, text: str, *, alternatives: int = 0) -> Surprisal:
        """What each token of a text costs the model, scored as the ruler scores a document.

        Args:
            alternatives: how many of the most probable tokens to list at each place.

        Raises:
            EscadaError: there is no text after cleaning.
        """
        from escada.evaluation.task import ruler_context
        from escada.evaluation.text_score import score_text

        return Surprisal(
            score_text(
                self.model,
                self.tokenizer,
                text,
                profile=self.spec.text.profile,
                context_tokens=ruler_context(self.folder),
                alternatives=alternatives,
            )
        )

    def evaluate(
        self, of: str | Iterable[str | Document] = "test", *, data: str | Path | None = None
    ) -> DocumentsResult:
        """Bits per byte of held-out documents, or of texts of yours, with a 95 % interval.

        Args:
            of: `train`, `validation` or `test` of the run's own corpus, whose result is kept in
                the run's folder; or texts, each a document and a group of its own.
            data: where the run's corpus was moved to.

        Raises:
            EscadaError: no such split, no text, or not the run's corpus.
        """
        from escada.evaluation.task import Subject, ruler_context
        from escada.evaluation.tasks.documents import Documents, measure
        from escada.report.writers.card import write_card
        from escada.runs.corpus import corpus_of

        if not isinstance(of, str):
            documents = self._documents(of)
            found, _ = measure(
                self.model,
                self.tokenizer,
                documents,
                context_tokens=ruler_context(self.folder),
                profile=self.spec.text.profile,
                corpus_hash=None,
                split="texts",
            )
            return found
        if of not in SPLITS:
            splits = ", ".join(SPLITS)
            raise EscadaError(f"unknown split {of!r}", fix=f"one of {splits}, or a list of texts")
        corpus = corpus_of(self.folder, None if data is None else Path(data))
        found = Subject(self.folder, corpus, device=self._device).need(Documents(of))
        write_card(self.folder)
        return found

    def _documents(self, texts: Iterable[str | Document]) -> list[Document]:
        from escada.text.documents import Document
        from escada.text.reading import Rules, reference_document

        made = (
            Document(id=str(i), source="texts", group=str(i), text=text)
            if isinstance(text, str)
            else text
            for i, text in enumerate(texts)
        )
        rules = Rules(self.spec.text.profile)
        read = [reference_document(one, rules) for one in made]
        documents = [one.document for one in read if one.removed_by is None]
        if not documents:
            raise EscadaError("there is no text to measure", fix="give at least one that has any")
        return documents

    def inside(self, text: str = "") -> Inside:
        """What is inside the model over a text: cells, heads, counts, continuations, pairs.

        Args:
            text: may be empty for views that need none, and for rankings of cells, which then use
                a text that comes with escada.
        """
        from escada.api.inside import Inside

        return Inside(self, text)

    def neighbours(self, token: str, *, best: int = 12) -> NeighboursView:
        """The tokens whose embeddings are most similar to that of the first token of a text."""
        from escada.inside.views import NeighboursRequest
        from escada.typed_json import parse

        asked = parse(NeighboursRequest, {"token": token, "best": best}, "neighbours")
        return cast("NeighboursView", self.look(asked))

    def embedding_map(self, tokens: int = 200) -> EmbeddingMapView:
        """Frequent tokens at the first two principal components of their embeddings."""
        from escada.inside.views import EmbeddingMapRequest
        from escada.typed_json import parse

        asked = parse(EmbeddingMapRequest, {"tokens": tokens}, "embedding_map")
        return cast("EmbeddingMapView", self.look(asked))

    def look(self, request: ViewRequest) -> View:
        """Any view of `escada.inside.views`, by its request.

        Raises:
            EscadaError: the model has no such view, cell or head, or the text does not fit.
        """
        from escada.evaluation.task import ruler_context
        from escada.inside.look import look

        return look(
            self.model,
            self.tokenizer,
            request,
            profile=self.spec.text.profile,
            context_tokens=ruler_context(self.folder),
        )

    def curve(self) -> Rows:
        """The validations of its training: step, seconds, tokens, flops, bits_per_byte."""
        from escada.report.data import read_curve

        return Rows(point.model_dump() for point in read_curve(self.folder.layout))

    def acquisition(self, *, data: str | Path | None = None) -> Rows:
        """What it could do at each step whose weights were kept; measured where that was not done.

        A row per step and measure: `bits_per_byte` (of all documents and by source), `agreement` by
        phenomenon and `lexicon_share`, with the ends of the 95 % interval.

        Args:
            data: where the run's corpus was moved to.

        Raises:
            EscadaError: not trained with `train.keep = "log"`, not finished, or not its corpus.
        """
        from escada.evaluation.task import Subject
        from escada.evaluation.tasks.acquisition import ACQUISITION, curves
        from escada.runs.corpus import corpus_of
        from escada.runs.kept import need_kept

        corpus = corpus_of(self.folder, None if data is None else Path(data))
        subject = Subject(self.folder, corpus, device=self._device)
        if not ACQUISITION.applies(subject):
            what = "the run is not finished, or has kept no weights"
            raise EscadaError(what, where=self.path, fix=need_kept())
        return Rows(curves(subject.need(ACQUISITION)))

    @property
    def card(self) -> str:
        """The model card, in Markdown."""
        from escada.report.writers.card import card_text

        return card_text(self.folder)

    def __repr__(self) -> str:
        record = self.record
        size = "" if record.parameters is None else f", {record.parameters:,} parameters"
        return f"Run({self.name}, {record.preset}, seed {record.seed}{size}: {self.path})"

    def _repr_markdown_(self) -> str:
        return self.card
