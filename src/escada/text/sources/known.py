"""Named data sets of Portuguese text, with what is known of each.

Sizes and licences are those that their pages on the hub said, for Wikipedia's size the page of a
copy (`TucanoBR/wikipedia-PT`); BrWaC's is that of its release.
"""

from __future__ import annotations

from dataclasses import dataclass

from escada.text.sources import brwac
from escada.text.sources.base import Licence
from escada.text.sources.hub import HubName
from escada.text.sources.intake import RowKind


@dataclass(frozen=True)
class Known:
    """A data set that has a short name.

    Attributes:
        hub: its name on the hub.
        rows: its columns.
        documents: their number, where its page says so.
        size: how much text, as its page says.
        group: what groups its documents.
        files: a glob of its files in a copy; None if `datasets` reads the hub's.
    """

    hub: HubName
    rows: RowKind
    licence: Licence
    documents: int | None
    size: str
    group: str
    files: str | None = None


KNOWN = {
    brwac.NAME: Known(
        HubName(brwac.HUB_NAME),
        brwac.ROWS,
        brwac.LICENCE,
        brwac.DOCUMENTS,
        "16 GB",
        "the site, in copies that name it; in this one the page",
    ),
    "carolina": Known(
        HubName("carolina-c4ai/corpus-carolina"),
        RowKind(),
        Licence("CC BY-NC-SA 4.0", "Carolina, Brazilian Portuguese from 1970 on, C4AI and USP"),
        2_107_045,
        "11 GB (version 1.3)",
        "the text",
        files="**/*.xml*",
    ),
    "fineweb2": Known(
        HubName("HuggingFaceFW/fineweb-2", "por_Latn"),
        RowKind(sources=(), addresses=("url",)),
        Licence("ODC-By 1.0", "FineWeb2, pages of Common Crawl from 2013 to April 2024"),
        None,
        "part of 8 TB compressed, in a thousand languages",
        "the site",
    ),
    "gigaverbo": Known(
        HubName("TucanoBR/GigaVerbo"),
        RowKind(sources=()),
        Licence("other", "GigaVerbo joins many data sets: each part has its own licence"),
        145_300_844,
        "786 GB",
        "the text",
    ),
    "wikipedia": Known(
        HubName("wikimedia/wikipedia", "20231101.pt"),
        RowKind(sources=()),
        Licence("CC BY-SA 3.0 and GFDL", "Wikipedia in Portuguese, 1 November 2023"),
        1_103_446,
        "2.6 GB",
        "the article",
    ),
}
