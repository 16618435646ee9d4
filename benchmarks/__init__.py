"""The cost of topologies beyond the forward pass: `python -m benchmarks`."""
