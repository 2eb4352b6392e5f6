"""Models that need no training by gradient: counts, compressors, pretrained models of others."""
