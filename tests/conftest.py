"""What holds for every test."""

from __future__ import annotations

import torch

# Tiny models are slower on several threads; processes that tests start have their own.
torch.set_num_threads(1)
