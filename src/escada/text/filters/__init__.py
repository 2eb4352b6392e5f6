"""Filters: which documents are worth training on, each with a name.

    chain = open_chain(["language", "repetition=0.3", "phrases=list.txt", "my_filter"])
    result = chain(document)        # pure: the same in any process and in any order
    counts.add(result)

A filter is a module of this folder, or any importable one, with `build(value)`. It returns a
picklable callable without state: a document in; the document, changed or not, or the reason to
remove it out. `value` is what follows `=` in the filter's name, or None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from types import ModuleType

from pydantic import BaseModel

from escada.code_hash import bare_code, code_hash
from escada.errors import EscadaError, nearest
from escada.extensions import ExtensionPoint
from escada.files import content_hash
from escada.text.documents import Document
from escada.text.filters.personal_data import mask
from escada.text.sources.streams import printable, printable_values

Filter = Callable[[Document], "Document | str"]
"""From a document to the same, to a changed one, or to the reason to remove it."""

FILTERS = ExtensionPoint("escada.text.filters", "filter", offers=("build",), where="--filter")
_ELSEWHERE = {"perplexity": "escada.evaluation.baselines.perplexity"}
"""A filter that needs a model, which this layer does not know."""
_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 200
_MASKED_CHARACTERS = 4000
"""Personal data that this cuts in two, and so does not mask, is far behind an example's end."""


@dataclass(frozen=True)
class Filtered:
    """What was made of a document before duplicates are looked for.

    Attributes:
        document: cleaned, masked and filtered.
        removed_by: the filter that removes it, or `empty` or `short`; None if it is kept.
        reason: why.
        masked: number of masked items by kind.
    """

    document: Document
    removed_by: str | None = None
    reason: str = ""
    masked: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Chain:
    """Filters in order.

    Attributes:
        filters: by name, as the user wrote it.
        identity: JSON values that change with what the filters decide, in their order: one may
            change what the next sees.
    """

    filters: tuple[tuple[str, Filter], ...] = ()
    identity: tuple[tuple[str, object], ...] = ()

    def __call__(self, document: Document) -> Filtered:
        """Filter a document; the first filter that removes it is the last to see it."""
        for name, decide in self.filters:
            result = decide(document)
            if isinstance(result, str):
                return Filtered(document, name, result)
            document = result
        return Filtered(document)


NO_FILTERS = Chain()


def filter_names() -> list[str]:
    """The filters that come with escada."""
    return [*FILTERS.names(), *_ELSEWHERE]


def open_chain(names: Sequence[str]) -> Chain:
    """The chain of some filters, each `NAME` or `NAME=VALUE`.

    Raises:
        EscadaError: an unknown filter, the same twice, or a value that it does not take.
    """
    filters: list[tuple[str, Filter]] = []
    identity: list[tuple[str, object]] = []
    for written in names:
        name, sign, value = written.partition("=")
        if any(other.partition("=")[0] == name for other, _ in filters):
            fix = "give each filter once"
            raise EscadaError(f"the filter {name!r} is given twice", where="--filter", fix=fix)
        if name not in _ELSEWHERE and "." not in name and not FILTERS.is_there(name):
            fix = nearest(name, filter_names())
            raise EscadaError(f"unknown filter {name!r}", where="--filter", fix=fix)
        module = FILTERS.load(_ELSEWHERE.get(name, name))
        decide = module.build(value if sign else None)
        filters.append((printable(written), decide))
        identity.append((printable(written), _identity(name, decide, module)))
    return Chain(tuple(filters), tuple(identity))


def _identity(name: str, decide: Filter, module: ModuleType) -> object:
    """A filter's settings, and its code if the corpus's key does not cover it."""
    settings = code = None
    if is_dataclass(decide) and not isinstance(decide, type):
        settings = printable_values(asdict(decide))
    if name in _ELSEWHERE:
        code = code_hash(module.__name__, within=("escada.evaluation", "escada.models"))
    elif not FILTERS.is_ours(name):
        code = content_hash(bare_code(Path(str(module.__file__))))
    return {"settings": settings, "code": code}


class Example(BaseModel):
    """A removed document: why, and the start of its text, without personal data."""

    id: str
    source: str
    reason: str
    text: str


class Removed(BaseModel):
    """What one filter removed, with the first few documents."""

    documents: int = 0
    bytes: int = 0
    examples: list[Example] = []

    def add(self, document: Document, reason: str) -> None:
        """Count a document, and keep it as an example if it is one of the first."""
        self.documents += 1
        self.bytes += document.n_bytes
        if len(self.examples) < _EXAMPLES:
            self.examples.append(
                Example(
                    id=document.id,
                    source=document.source,
                    reason=_excerpt(reason),
                    text=_excerpt(document.text),
                )
            )


def _excerpt(text: str) -> str:
    """The start of a text, without personal data."""
    return mask(text[:_MASKED_CHARACTERS])[0][:_EXAMPLE_CHARACTERS]


class FilterCounts(BaseModel):
    """What filters removed, and what was masked in the documents that they kept.

    Attributes:
        removed: by filter, in the order of the chain.
        masked: number of items by kind, in duplicates too.
        masked_documents: documents with at least one, duplicates among them.
    """

    removed: dict[str, Removed] = {}
    masked: dict[str, int] = {}
    masked_documents: int = 0

    @classmethod
    def of(cls, chain: Chain) -> FilterCounts:
        """Counts at zero for every filter of a chain."""
        return cls(removed={name: Removed() for name, _ in chain.filters})

    @property
    def documents(self) -> int:
        """Documents removed by any filter."""
        return sum(part.documents for part in self.removed.values())

    def merge(self, later: FilterCounts) -> None:
        """Add the counts of later documents."""
        self.masked_documents += later.masked_documents
        self.masked = dict(Counter(self.masked) + Counter(later.masked))
        for name, part in later.removed.items():
            mine = self.removed.setdefault(name, Removed())
            mine.documents += part.documents
            mine.bytes += part.bytes
            mine.examples = [*mine.examples, *part.examples][:_EXAMPLES]

    def add(self, result: Filtered) -> None:
        """Count a result. In the order of the stream, the examples are its first documents."""
        if result.removed_by is not None:
            part = self.removed.setdefault(result.removed_by, Removed())
            part.add(result.document, result.reason)
        elif result.masked:
            self.masked_documents += 1
            self.masked = dict(Counter(self.masked) + Counter(result.masked))
