"""N-grams: counted, smoothed by Kneser-Ney, without a token's own group, and of a document."""
