"""Samplers and the decoding loop."""
