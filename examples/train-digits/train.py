"""Train a small convolutional network on the 1,797 handwritten digits of scikit-learn.

Prints the progress of each epoch and the share of held-out digits read rightly, saves the weights
below the project, and fails if that share is not above 95 %.
"""
import argparse
import pathlib
import sys
import time

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    """Two convolutions and two dense layers on 8 x 8 pictures."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.dense1 = nn.Linear(64 * 4 * 4, 128)
        self.dense2 = nn.Linear(128, 10)
        self.dropout = nn.Dropout(0.25)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.dense1(self.dropout(x.flatten(1))))
        return self.dense2(x)


def load(device):
    """Pictures scaled to 0..1, a quarter of them held out."""
    digits = load_digits()
    pictures = (digits.images / 16.0).astype("float32")[:, None]
    parts = train_test_split(pictures, digits.target, test_size=0.25, random_state=0, stratify=digits.target)
    x, xt, y, yt = (torch.as_tensor(p).to(device) for p in parts)
    return x, y.long(), xt, yt.long()


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        return (net(x).argmax(1) == y).float().mean().item()


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--epochs", type=int, default=10)
    args.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/digits.pt"))
    args = args.parse_args()

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"python {sys.version.split()[0]}, pytorch {torch.__version__}, on {device}", flush=True)
    x, y, xt, yt = load(device)
    net = Net().to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    started = time.time()
    for epoch in range(1, args.epochs + 1):
        net.train()
        order = torch.randperm(len(x), device=device)
        total = 0.0
        for batch in order.split(64):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch:2d}/{args.epochs}  loss {total / len(x):.4f}  "
              f"held-out {100 * accuracy(net, xt, yt):.2f} %  {time.time() - started:.1f} s", flush=True)
    reached = accuracy(net, xt, yt)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), args.out)
    print(f"weights saved to {args.out}; {100 * reached:.2f} % of {len(xt)} held-out digits read rightly")
    return 0 if reached > 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
