"""A run's folder: everything needed to repeat, judge and use a training."""
