"""What the topology costs beyond the forward pass: `python -m benchmarks`."""
