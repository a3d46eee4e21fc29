#!/bin/bash
# A minimal Debian with its packages cached, side by side: the base layer of `deb:bookworm` made anew against mmdebstrap of the
# same locked .debs from a file: repository.
#   deb.sh [RUNS]        as root; SANDBOX=path of our binary. Prints medians in seconds and the ratio.
set -euo pipefail
N=${1:-3}; S=$(realpath "${SANDBOX:-$(command -v sandbox)}"); W=${W:-${BENCH_TMP:-/var/tmp}/sandbox-bench/deb}; mkdir -p "$W/project" "$W/repo"; cd "$W/project"
for p in mmdebstrap dpkg-dev; do dpkg -s $p >/dev/null 2>&1 || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -yqq mmdebstrap dpkg-dev >/dev/null; }; done
export SANDBOX_STORE=$W/store
printf 'schema = 1\n[image]\nbase = "deb:bookworm"\n' > sandbox.toml
"$S" -q run true
python3 - <<'P'
import os, re
text = open('sandbox.lock').read(); repo = os.environ['SANDBOX_STORE'] + '/../repo'
for part in text.split('[[linux-amd64.deb]]')[1:]:
    sha = re.search(r'^sha256 = "(\w+)"', part, re.M)[1]; path = re.search(r'^path = "(.*)"', part, re.M)[1]
    to = f'{repo}/{os.path.basename(path)}'
    if not os.path.exists(to): os.link(f"{os.environ['SANDBOX_STORE']}/blobs-v1/sha256/{sha}", to)
P
(cd "$W/repo" && D=dists/bookworm/main/binary-amd64 && mkdir -p $D && dpkg-scanpackages -m . 2>/dev/null > $D/Packages &&
  { printf 'Origin: Debian\nSuite: bookworm\nCodename: bookworm\nComponents: main\nArchitectures: amd64\nDate: %s\nSHA256:\n' "$(date -Ru)"
    (cd dists/bookworm && sha256sum main/binary-amd64/Packages | awk '{print $1}' | while read -r h; do printf ' %s %s main/binary-amd64/Packages\n' "$h" "$(stat -c %s main/binary-amd64/Packages)"; done); } > dists/bookworm/Release)
python3 - "$N" "$S" "$W" <<'P'
import json, os, shutil, statistics as st, subprocess as sp, sys, time
n, s, w = int(sys.argv[1]), *sys.argv[2:]
build = json.loads(sp.run([s, '-q', 'build', '--json'], check=True, capture_output=True, text=True).stdout)
layer = os.path.dirname(build['layers'][0]['path'])
def ours():
    shutil.rmtree(layer); os.sync()
    t = time.time(); sp.run([s, '-q', 'run', 'true'], check=True); return time.time() - t
def theirs():
    shutil.rmtree(w + '/root', ignore_errors=True); os.sync()
    t = time.time()
    sp.run(['mmdebstrap', '--quiet', '--variant=minbase', '--mode=root', '--format=directory', '--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr', 'bookworm', w + '/root', f'deb [trusted=yes] copy:{w}/repo bookworm main'], check=True, capture_output=True)
    return time.time() - t
a, b = [], []
for _ in range(n):
    a.append(ours()); b.append(theirs())
shutil.rmtree(w + '/root', ignore_errors=True)
a, b = st.median(a), st.median(b)
print(f'deb:bookworm, packages cached: sandbox {a:.1f} s   mmdebstrap {b:.1f} s   ratio {a/b:.2f}')
P
