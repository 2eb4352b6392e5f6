"""Documents in, batches of tokens out."""
