"""The report's figures, drawn with matplotlib; written as SVG, PNG, PDF and PGF."""
