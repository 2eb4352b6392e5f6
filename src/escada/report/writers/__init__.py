"""What the report is written as: HTML, LaTeX, Markdown, CSV, terminal text."""
