"""What the project promises, and what its tests and benchmarks showed of it."""
