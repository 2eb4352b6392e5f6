"""The report of a climb: one HTML page, and tables and figures to reuse."""
