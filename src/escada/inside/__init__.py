"""What is inside a rung: cells, heads, counts, embeddings, continuations, pairs of sentences."""
