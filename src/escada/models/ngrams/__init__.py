"""N-gram counts, Kneser-Ney smoothing, leave-group-out probabilities and document counts."""
