"""Figures, made once as SVG and drawn again for print."""
