#!/bin/bash
# 60-odd wheels that are unpacked already, side by side: the layer of /opt/env made anew (`sandbox run true` with that layer
# removed, so plan, start and sync are in it) against `uv pip sync` with hard links from its warm cache.
#   wheels.sh [RUNS]     any user with uv on PATH; SANDBOX=path of our binary. Prints medians in seconds and the ratio.
set -euo pipefail
N=${1:-5}; S=$(realpath "${SANDBOX:-$(command -v sandbox)}"); W=${W:-${BENCH_TMP:-/var/tmp}/sandbox-bench/wheels}; mkdir -p "$W/project"; cd "$W/project"
export SANDBOX_STORE=$W/store
cat > sandbox.toml <<'T'
schema = 1
[image]
base = "deb:bookworm"
[toolchain]
python = "3.11"
[python]
packages = ["numpy", "scipy", "pandas", "matplotlib", "scikit-learn", "jupyterlab", "sympy", "networkx"]
T
"$S" -q run true
UV=$(command -v uv) || { python3 -m venv "$W/tool"; "$W/tool/bin/pip" -q install uv; UV=$W/tool/bin/uv; }
PY=$(command -v python3.11 || command -v python3)
python3 - "$N" "$S" "$UV" "$W" "$PY" <<'P'
import json, os, shutil, statistics as st, subprocess as sp, sys, time
n, s, uv, w, py = int(sys.argv[1]), *sys.argv[2:]
try:
    import tomllib
except ImportError:
    import pip._vendor.tomli as tomllib
lock = tomllib.load(open('sandbox.lock', 'rb'))['linux-amd64']
wheels = [x for x in lock['wheel'] if x.get('from') != 'base']
open('reqs.txt', 'w').write(''.join(f"{x['name']}=={x['version']} --hash=sha256:{x['sha256']}\n" for x in wheels))
build = json.loads(sp.run([s, '-q', 'build', '--json'], check=True, capture_output=True, text=True).stdout)
layer = next(os.path.dirname(l['path']) for l in build['layers'] if l['what'] == 'Python packages')
files = sum(len(f) for _, _, f in os.walk(layer + '/fs'))
def uv_sync(*more):
    shutil.rmtree(w + '/venv', ignore_errors=True)
    sp.run([uv, 'venv', '-q', '--python', py, w + '/venv'], check=True)
    t = time.time()
    sp.run([uv, 'pip', 'sync', '-q', *more, '--python', w + '/venv/bin/python', '--cache-dir', w + '/uv', '--link-mode', 'hardlink', 'reqs.txt'], check=True)
    return time.time() - t
def ours():
    shutil.rmtree(layer); os.sync()
    t = time.time(); sp.run([s, '-q', 'run', 'true'], check=True)
    return time.time() - t
uv_sync(); ours()
a, b = [], []
for _ in range(n):
    a.append(ours()); b.append(uv_sync('--offline'))
a, b = st.median(a), st.median(b)
print(f'wheels: {len(wheels)} wheels, {files} files: sandbox {a:.3f} s   uv sync {b:.3f} s   ratio {a/b:.2f}')
P
