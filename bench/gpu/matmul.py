"""TFLOP/s of a half-precision matrix product in PyTorch: the best of ten rounds."""
import time

import torch

n = 8192
a = torch.randn(n, n, device="cuda", dtype=torch.float16)
b = torch.randn(n, n, device="cuda", dtype=torch.float16)
for _ in range(5):
    a @ b
torch.cuda.synchronize()
best = 0.0
for _ in range(10):
    begun = time.perf_counter()
    for _ in range(20):
        a @ b
    torch.cuda.synchronize()
    best = max(best, 20 * 2 * n**3 / (time.perf_counter() - begun) / 1e12)
print(f"{best:.2f}")
