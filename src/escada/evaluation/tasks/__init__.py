"""What is measured of a finished run, one file per task."""
