"""Learn a function with a small network on the GPU in mixed precision; nothing but PyTorch is needed.

Fails if the loss does not fall below a hundredth of what it was.
"""
import sys

import torch
from torch import nn

torch.manual_seed(0)
if not torch.cuda.is_available():
    sys.exit("no CUDA device")
x = torch.rand(65536, 8, device="cuda") * 2 - 1
y = (x.sin().sum(1) * x[:, 0]).unsqueeze(1)
net = nn.Sequential(nn.Linear(8, 256), nn.GELU(), nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 1)).cuda()
optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
scaler = torch.amp.GradScaler("cuda") if hasattr(torch, "amp") and hasattr(torch.amp, "GradScaler") else torch.cuda.amp.GradScaler()
first = last = None
for step in range(600):
    with torch.autocast("cuda", dtype=torch.float16):
        loss = nn.functional.mse_loss(net(x[step % 16 * 4096 : (step % 16 + 1) * 4096]).float(), y[step % 16 * 4096 : (step % 16 + 1) * 4096])
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    last = loss.item()
    first = first if first is not None else last
print(f"loss {first:.4f} -> {last:.5f} on {torch.cuda.get_device_name()}")
sys.exit(0 if last < first / 100 else "the loss did not fall")
