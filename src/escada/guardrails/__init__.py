"""Whether the samples of a run can be trusted as text that its model wrote."""
