"""Makes a corpus: documents in parts, without duplicates, split, without copies across."""
