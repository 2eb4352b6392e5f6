"""A parser of HTML that accepts only what the report's pages may hold."""

from html.parser import HTMLParser

VOID = {"meta", "link", "input", "br", "img", "hr"}


class Strict(HTMLParser):
    """Tags closed in order, ids once, no handler, image or script but the page's own."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.scripts = [], [], 0

    def handle_starttag(self, tag, attrs):
        assert tag != "img"
        assert not [name for name, _ in attrs if name.startswith("on")]
        assert not [v for name, v in attrs if name in ("href", "src") and "script:" in (v or "")]
        self.ids += [value for name, value in attrs if name == "id"]
        self.scripts += tag == "script"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")
