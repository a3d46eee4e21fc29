#!/bin/bash
# What a collection of a store with 2,000 layers takes: with all of them in use, and with none. As anybody; SANDBOX=path of
# our binary. Four images of 500 layers, each layer with ten files, are made here and pulled.
set -euo pipefail
S=${SANDBOX:-sandbox}; W=$(mktemp -d "${BENCH_TMP:-/var/tmp}"/gc.XXXXXX); trap 'rm -rf "$W"' EXIT
export SANDBOX_STORE="$W/s"
python3 - "$W" <<'P'
import gzip, hashlib, io, json, os, sys, tarfile
root = sys.argv[1]
def put(d, b):
    h = hashlib.sha256(b).hexdigest(); open(f'{d}/blobs/sha256/{h}', 'wb').write(b); return {'digest': 'sha256:' + h, 'size': len(b)}
for n in range(4):
    d = f'{root}/i{n}'; os.makedirs(d + '/blobs/sha256'); layers, diffs = [], []
    for i in range(500):
        t = io.BytesIO()
        with tarfile.open(fileobj=t, mode='w') as w:
            for f in range(10):
                h = tarfile.TarInfo(f'd{i % 50}/f{n}-{i}-{f}'); h.size = 1000; w.addfile(h, io.BytesIO(b'x' * 1000))
        b = t.getvalue(); diffs.append('sha256:' + hashlib.sha256(b).hexdigest())
        layers.append({'mediaType': 'application/vnd.oci.image.layer.v1.tar+gzip', **put(d, gzip.compress(b, 1, mtime=0))})
    cfg = put(d, json.dumps({'architecture': 'amd64', 'os': 'linux', 'config': {}, 'rootfs': {'type': 'layers', 'diff_ids': diffs}}).encode())
    mt = 'application/vnd.oci.image.manifest.v1+json'
    m = put(d, json.dumps({'schemaVersion': 2, 'mediaType': mt, 'config': {'mediaType': 'application/vnd.oci.image.config.v1+json', **cfg}, 'layers': layers}).encode())
    open(d + '/oci-layout', 'w').write('{"imageLayoutVersion":"1.0.0"}')
    json.dump({'schemaVersion': 2, 'manifests': [{'mediaType': mt, **m}]}, open(d + '/index.json', 'w'))
P
for n in 0 1 2 3; do "$S" -q pull "oci:$W/i$n" >/dev/null; done
ms() { python3 - "$@" <<'P'
import subprocess, sys, time
t = time.monotonic(); subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); print(f'{(time.monotonic() - t) * 1000:.0f}')
P
}
echo "layers: $(ls "$W/s/layers-v1" | wc -l)"
for _ in 1 2 3 4 5; do ms "$S" -q gc --older-than 0s; done | sort -n | sed -n '3s/.*/gc, all layers in use: & ms (median of 5)/p'
for n in 0 1 2 3; do "$S" -q rmi "oci:$W/i$n" >/dev/null; done
echo "gc, none in use: $(ms "$S" -q gc --older-than 0s) ms (goal: 1000); $(ls "$W/s/layers-v1" | wc -l) layers left"
