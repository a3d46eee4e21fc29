#!/bin/bash
# Handing the benchmark image over, beside podman: to a file and to a registry. Run make-image.sh first.
#   out.sh [RUNS]         as root; SANDBOX=path of our binary (default: sandbox on PATH). Both have pulled 127.0.0.1:5000/ml:gz.
# export: one file that Docker loads. podman has two forms: docker-archive, which is not compressed, and oci-archive, which is.
# push: to an empty registry each time, so that every layer is sent.
# built: an environment's own layers, packed and compressed for the first time, beside podman save of the same image.
set -euo pipefail
N=${1:-5}; S=${SANDBOX:-sandbox}; REF=127.0.0.1:5000/ml:gz; W=$(mktemp -d "${BENCH_TMP:-/var/tmp}"/out.XXXXXX)
export SANDBOX_STORE="$W/s"; P=(podman --root "$W/p" --runroot "$W/r")
trap 'kill $(cat "$W/pid") 2>/dev/null || true; "${P[@]}" rmi -af >/dev/null 2>&1 || true; umount "$W"/p/overlay 2>/dev/null || true; rm -rf "$W" 2>/dev/null || true' EXIT
fresh() { # an empty registry on port 5001
  if [ -f "$W/pid" ]; then kill "$(cat "$W/pid")"; while kill -0 "$(cat "$W/pid")" 2>/dev/null; do sleep 0.05; done; fi
  rm -rf "$W/reg"
  printf 'version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %s/reg\nhttp:\n  addr: 127.0.0.1:5001\nlog:\n  level: error\n' "$W" > "$W/reg.yml"
  setsid docker-registry serve "$W/reg.yml" >/dev/null 2>&1 < /dev/null & echo $! > "$W/pid"
  until curl -fs 127.0.0.1:5001/v2/ >/dev/null; do sleep 0.05; done
}
dpkg -s podman time >/dev/null 2>&1 || { apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -yqq podman time >/dev/null; }
"$S" -q pull $REF >/dev/null
"${P[@]}" pull -q --tls-verify=false $REF >/dev/null
one() { n=$1; shift; rm -f "$W/x.tar"; sync; /usr/bin/time -o "$W/t" -f '%e %U %S %M' "$@" >"$W/log" 2>&1 || { echo "$n failed:"; tail -3 "$W/log"; return 1; }
  read -r e u s m < <(tail -1 "$W/t"); printf '%s\t%s\t%s\t%s\n' "$n" "$e" "$(awk "BEGIN{print $u+$s}")" "$m" >> "$W/rows"; }
: > "$W/rows"
cat > "$W/sandbox.toml" <<T
schema = 1
[image]
base = "$REF"
[[step]]
run = "mkdir /copy; cp -a /opt/L1 /copy/"
T
"$S" -q build -C "$W" >/dev/null
"$S" -q export -C "$W" --name bench/built:1 -o "$W/built.tar" >/dev/null
"${P[@]}" load -q -i "$W/built.tar" >/dev/null 2>&1
for _ in $(seq "$N"); do
  one 'export: sandbox' "$S" -q export -o "$W/x.tar" $REF
  one 'export: podman docker-archive' "${P[@]}" save -q -o "$W/x.tar" $REF
  one 'export: podman oci-archive' "${P[@]}" save -q --format oci-archive -o "$W/x.tar" $REF
  fresh; one 'push: sandbox' "$S" -q push --image $REF 127.0.0.1:5001/ml:1
  fresh; one 'push: podman' "${P[@]}" push -q --tls-verify=false $REF 127.0.0.1:5001/ml:1
  # Packed anew: the blob that the export before made is taken away.
  find "$W/s/layers-v1" -maxdepth 2 -name packed -delete
  one 'built: sandbox' "$S" -q export -C "$W" --name bench/built:1 -o "$W/x.tar"
  one 'built: podman oci-archive' "${P[@]}" save -q --format oci-archive -o "$W/x.tar" docker.io/bench/built:1
done
python3 - "$W/rows" <<'P'
import statistics as st, sys
rows = {}
for line in open(sys.argv[1]):
    n, *v = line.rstrip('\n').split('\t'); rows.setdefault(n, []).append([float(x) for x in v])
med = {n: [st.median(x) for x in zip(*v)] for n, v in rows.items()}
for n, (e, c, m) in med.items(): print(f'{n:32} wall {e:6.2f}  cpu {c:6.2f}  peak {m / 1024:6.1f} MiB')
for what in ('export', 'push', 'built'):
    for n in med:
        if n.startswith(what) and 'podman' in n: print(f'{n} / sandbox: wall {med[n][0] / med[what + ": sandbox"][0]:.1f}')
P
