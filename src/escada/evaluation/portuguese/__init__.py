"""Tests of Portuguese: agreement in minimal pairs, the last word of a passage."""
