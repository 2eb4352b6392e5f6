"""Bits per byte with an interval, and the controls that make it believable."""
