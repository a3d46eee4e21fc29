#!/bin/bash
# Training of examples/train-digits inside, side by side: `sandbox run train` against the same layers mounted by hand in a
# user namespace (overlay, /proc bound, chroot) and the same command.
#   train.sh [RUNS]      as root; SANDBOX=path of our binary. Prints medians in seconds and the ratio.
set -euo pipefail
N=${1:-3}; S=$(realpath "${SANDBOX:-$(command -v sandbox)}"); W=${W:-${BENCH_TMP:-/var/tmp}/sandbox-bench/train}; mkdir -p "$W"
cp -r "$(dirname "$(realpath "$0")")/../examples/train-digits" "$W/" ; cd "$W/train-digits"
export SANDBOX_STORE=${SANDBOX_STORE:-$W/store}
"$S" -q run train --epochs 5 >/dev/null
"$S" plan --json train > "$W/plan.json"
mkdir -p "$W/upper" "$W/work" "$W/root"
cat > "$W/by-hand.sh" <<'H'
set -e
mount -t overlay overlay -o "lowerdir=$LOWERS,upperdir=$W/upper,workdir=$W/work,userxattr" "$W/root"
mount --rbind /proc "$W/root/proc"; mount --rbind /dev "$W/root/dev"; mount --rbind /sys "$W/root/sys"; mkdir -p "$W/root/workspace"; mount --bind "$PWD" "$W/root/workspace"
exec chroot "$W/root" /usr/bin/env -i HOME=/root PATH=/opt/env/bin:/usr/bin:/bin sh -c 'cd /workspace && exec python train.py --epochs 5'
H
export W LOWERS; LOWERS=$(python3 -c "import json; print(':'.join(l['path'] for l in reversed(json.load(open('$W/plan.json'))['root']['lowers'])))")
python3 - "$N" "$S" "$W" <<'P'
import statistics as st, subprocess as sp, sys, time
n, s, w = int(sys.argv[1]), *sys.argv[2:]
def timed(cmd):
    t = time.time(); sp.run(cmd, check=True, stdout=sp.DEVNULL); return time.time() - t
a, b = [], []
for _ in range(n):
    a.append(timed([s, '-q', 'run', 'train', '--epochs', '5'])); b.append(timed(['unshare', '-Urm', 'sh', w + '/by-hand.sh']))
a, b = st.median(a), st.median(b)
print(f'training, 5 epochs: sandbox {a:.2f} s   by hand {b:.2f} s   ratio {a/b:.2f}')
P
