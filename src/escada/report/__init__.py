"""A climb as one page that a person can read, and figures to take away."""
