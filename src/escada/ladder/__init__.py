"""A climb: train several rungs under one budget, compare them, and summarise each run in a row."""
