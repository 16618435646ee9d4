"""What holds for every test."""

from __future__ import annotations

import torch
from hypothesis import settings

# Tiny models are slower on several threads; processes that tests start have their own.
torch.set_num_threads(1)
# With `--hypothesis-profile=long` tests/**/test_fuzz_*.py try fifty times as much, never the same.
settings.register_profile("long", max_examples=5000)
