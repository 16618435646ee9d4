"""Training of a probe as in the paper, with early stopping on a validation set."""

import copy

import torch
from torch import Tensor
from torch.nn import functional

from experiments.graph_probe.networks import Reader
from experiments.graph_probe.ridge import Fitted

# Zheng et al. 2025: Adam's weight decay, texts per batch, epochs without gain before the learning
# rate is divided by ten, and before training stops.
WEIGHT_DECAY, BATCH, PATIENCE, STOP = 1e-5, 16, 5, 20
_TOGETHER = 256  # texts per batch of predictions


def train_reader(
    reader: Reader,
    target: Tensor,
    train: Tensor,
    validation: Tensor,
    rate: float,
    epochs: int,
    seed: int,
) -> Fitted:
    """Train, and predict all texts with the weights of lowest validation loss.

    Parameters
    ----------
    reader : Reader
        The probe, untrained.
    target : Tensor, shape (n_texts,)
        Numbers (float: squared error) or classes (int64: cross-entropy).
    train, validation : Tensor of int64
        Indices of training and validation set.
    rate : float
        Adam's initial learning rate.
    epochs : int
        Maximum number of passes over the training set.
    seed : int
        Of the order of the texts.

    Returns
    -------
    Fitted
        For classes, their log-probabilities up to a constant.
    """
    device = next(reader.parameters()).device
    # MPS has no float64.
    target = (target.float() if target.is_floating_point() else target).to(device)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(reader.parameters(), lr=rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.1, patience=PATIENCE)
    best, since, weights = float("inf"), 0, copy.deepcopy(reader.network.state_dict())
    for _ in range(epochs):
        order = train[torch.randperm(len(train), generator=generator)]
        for numbers in torch.split(order, BATCH):
            optimiser.zero_grad()
            _loss(reader(numbers), target[numbers]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        error = float(_loss(_predict(reader, validation), target[validation]))
        schedule.step(error)
        since += 1
        if error < best:
            best, since = error, 0
            weights = copy.deepcopy(reader.network.state_dict())
        if since == STOP:
            break
    reader.network.load_state_dict(weights)
    return Fitted(_predict(reader, torch.arange(len(target))).cpu().double(), best)


@torch.inference_mode()
def _predict(reader: Reader, numbers: Tensor) -> Tensor:
    return torch.cat([reader(part) for part in torch.split(numbers, _TOGETHER)])


def _loss(outputs: Tensor, target: Tensor) -> Tensor:
    if target.is_floating_point():
        return functional.mse_loss(outputs[:, 0], target)
    return functional.cross_entropy(outputs, target)
