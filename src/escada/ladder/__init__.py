"""A climb: several rungs trained under one budget, compared, and set into one row per run."""
