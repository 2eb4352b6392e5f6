"""What the site does beyond mkdocs: folders in the navigation, relative links between languages.

mkdocs calls the functions here by their names; see `hooks` in mkdocs.yml.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.plugins import event_priority
from navigation import complete_nav, pages_below


@event_priority(100)
def on_config(config: Any) -> Any:
    """Complete the navigation before any plugin reads it."""
    config.nav = complete_nav(config.nav, pages_below(Path(config.docs_dir)))
    return config


@event_priority(-100)
def on_page_context(context: Any, page: Any, config: Any, nav: Any) -> Any:
    """Let the choice of language lead to a relative address, whatever the site's own address is."""
    for alternate in config.extra.alternate:  # the attribute, not the item: that is what is shown
        if alternate["link"].startswith("/"):
            alternate["link"] = alternate["link"].lstrip("/") or "."
    return context
