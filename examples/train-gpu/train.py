"""Train a residual network on the handwritten digits of scikit-learn, with mixed precision on a GPU.

Every epoch ends with a checkpoint, written under another name and renamed, so that a run that is cut
off goes on with the epoch after the last whole one. Prints device, speed and the share of held-out
digits read rightly; fails if that share is not above 97 % at the end.
"""
import argparse
import os
import pathlib
import sys
import time

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two convolutions with a way around them."""

    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(y)))


def network(width=64, blocks=3):
    """About 0.25 million weights on 8 x 8 pictures."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), *[Block(width) for _ in range(blocks)],
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(4 * width, 10))


def load(device):
    """Pictures scaled to 0..1, a quarter of them held out."""
    digits = load_digits()
    pictures = (digits.images / 16.0).astype("float32")[:, None]
    parts = train_test_split(pictures, digits.target, test_size=0.25, random_state=0, stratify=digits.target)
    x, xt, y, yt = (torch.as_tensor(p).to(device) for p in parts)
    return x, y.long(), xt, yt.long()


def accuracy(net, x, y, device, half):
    net.eval()
    with torch.no_grad(), torch.autocast(device.type, dtype=half, enabled=half is not None):
        return (net(x).argmax(1) == y).float().mean().item()


def describe(device):
    if device.type != "cuda":
        return "the processor"
    major, minor = torch.cuda.get_device_capability(device)
    return f"{torch.cuda.get_device_name(device)} (compute capability {major}.{minor})"


def save(path, state):
    """A checkpoint is whole or it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as f:
        torch.save(state, f)
        f.flush()
        os.fsync(f.fileno())
    part.replace(path)


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--epochs", type=int, default=12)
    args.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    args.add_argument("--fresh", action="store_true", help="begin anew, whatever checkpoint there is")
    args = args.parse_args()

    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # bfloat16 needs no scaling of the loss; GPUs before Ampere have only float16, which does.
    half = None
    if device.type == "cuda":
        half = torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    scaler = torch.amp.GradScaler(device.type, enabled=half is torch.float16)
    print(f"pytorch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}; on {describe(device)}, "
          f"{'full precision' if half is None else str(half).removeprefix('torch.')}", flush=True)

    x, y, xt, yt = load(device)
    net = network().to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs=args.epochs, steps_per_epoch=-(-len(x) // 64))
    checkpoint, done = args.out / "checkpoint.pt", 0
    if checkpoint.exists() and not args.fresh:
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["epochs"] == args.epochs:
            net.load_state_dict(state["net"])
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
            scaler.load_state_dict(state["scaler"])
            done = state["done"]
            print(f"going on after epoch {done} of {checkpoint}", flush=True)

    started = time.time()
    for epoch in range(done + 1, args.epochs + 1):
        torch.manual_seed(epoch)  # the order of an epoch is its own, also after a resume
        net.train()
        total = 0.0
        for batch in torch.randperm(len(x)).to(device).split(64):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device.type, dtype=half, enabled=half is not None):
                loss = F.cross_entropy(net(x[batch]), y[batch])
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            total += loss.item() * len(batch)
        save(checkpoint, {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict(),
                          "scaler": scaler.state_dict(), "done": epoch, "epochs": args.epochs})
        print(f"epoch {epoch:2d}/{args.epochs}  loss {total / len(x):.4f}  "
              f"held-out {100 * accuracy(net, xt, yt, device, half):.2f} %  {time.time() - started:.1f} s", flush=True)
    reached = accuracy(net, xt, yt, device, half)
    save(args.out / "digits.pt", net.state_dict())
    print(f"weights saved to {args.out / 'digits.pt'}; {100 * reached:.2f} % of {len(xt)} held-out digits read rightly")
    return 0 if reached > 0.97 else 1


if __name__ == "__main__":
    sys.exit(main())
