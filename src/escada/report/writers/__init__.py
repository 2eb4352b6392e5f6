"""Output formats of the report: HTML, LaTeX, Markdown, CSV, terminal text."""
