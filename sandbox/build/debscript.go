package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/4cc2e759/sandbox/images/layer"
)

// Where dpkg's files lie inside.
const (
	debsInside  = BoxRun + "/debs"
	binInside   = BoxRun + "/bin"
	tarsInside  = BoxRun + "/tars"
	gateName    = "gate" // beside the .debs; no .deb has such a name
	policyAsked = "/usr/sbin/policy-rc.d"
)

// policyScript keeps maintainer scripts from starting services.
const policyScript = "#!/bin/sh\nexit 101\n"

// dpkgDebScript stands before dpkg-deb in PATH: what dpkg unpacks goes past us, too, for the sake of
// the owners in it, which the tree itself cannot keep under a single id.
const dpkgDebScript = `#!/bin/sh
case "$1" in
--fsys-tarfile) /usr/bin/dpkg-deb "$@" | tee ` + tarsInside + ` ;;
*) exec /usr/bin/dpkg-deb "$@" ;;
esac
`

// The options of every dpkg: order and missing dependencies are our own affair, files that were
// edited stay, and the disk is synced once when the layer is done.
const dpkgOptions = "--force-depends --force-confold --force-unsafe-io"

// debBatch is .debs that are unpacked together before anything of them is configured.
type debBatch struct {
	files []debFile
	first []string // packages to configure before the others
	gate  bool     // wait for a line from the gate before anything else
}

// debScript is the shell script that installs batches, one after the other.
func debScript(batches []debBatch) string {
	var b strings.Builder
	b.WriteString("set -e\numask 022\nexport LC_ALL=C PATH=" + binInside + ":$PATH\ncd " + debsInside + "\n")
	for _, batch := range batches {
		if len(batch.files) == 0 {
			continue
		}
		if batch.gate {
			b.WriteString("read -r go < " + gateName + "\n")
		}
		b.WriteString("dpkg " + dpkgOptions + " --unpack")
		for _, f := range batch.files {
			b.WriteString(" ./'" + f.name() + "'")
		}
		b.WriteString("\n")
		for _, name := range batch.first {
			b.WriteString("dpkg " + dpkgOptions + " --configure " + name + "\n")
		}
		b.WriteString("dpkg " + dpkgOptions + " --configure -a\n")
	}
	return b.String()
}

// dpkgRun is one run of dpkg in a box, and the making of a layer of what it left.
type dpkgRun struct {
	box     *Box
	files   []debFile
	batches []debBatch
	binds   []BoxBind
	fs      string   // the tree that is written
	trees   []string // the tree as it is seen, bottom first; fs is the last
	dir     string   // the new layer's folder
	aside   string   // for what is needed until the end
	epoch   int64
	notice  func(string)
	ahead   *debAhead // inflates the .debs meanwhile and knows their owners; nil: dpkg inflates, we watch
}

func (r *dpkgRun) do(ctx context.Context) error {
	chowns := filepath.Join(r.aside, "chowns")
	if err := os.WriteFile(chowns, nil, 0o600); err != nil {
		return err
	}
	r.box.Files = map[string]string{"install": debScript(r.batches), "bin/chown": chownScript, "bin/chgrp": chownScript}
	r.box.Binds = append(r.box.Binds, BoxBind{Source: chowns, Target: chownsInside, Write: true})
	r.box.Binds = append(r.box.Binds, r.binds...)
	r.box.Env = append(r.box.Env, "DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true", "DEBCONF_NOWARNINGS=yes",
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.epoch), "PYTHONDONTWRITEBYTECODE=1")
	out := &tailWriter{max: 4 << 20}
	r.box.Stdout, r.box.Stderr = out, out
	install := r.watched
	if r.ahead != nil {
		install = r.inflated
	}
	owners, err := install(ctx)
	if err != nil {
		return dpkgError(err, out.String())
	}
	return r.finish(chowns, owners)
}

// watched has dpkg inflate what it unpacks, and reads along.
func (r *dpkgRun) watched(ctx context.Context) (map[string]tarOwner, error) {
	watch, err := watchOwners(r.aside)
	if err != nil {
		return nil, err
	}
	r.box.Files["bin/dpkg-deb"] = dpkgDebScript
	r.box.Binds = append(append(debBinds(r.files), BoxBind{Source: watch.path, Target: tarsInside, Write: true}), r.box.Binds...)
	err = r.box.Run(ctx, "/bin/sh", BoxRun+"/install")
	return watch.Close(), err
}

// inflated runs dpkg on .debs that need no inflating any more.
func (r *dpkgRun) inflated(ctx context.Context) (map[string]tarOwner, error) {
	r.box.Binds = append([]BoxBind{{Source: r.ahead.dir, Target: debsInside}}, r.box.Binds...)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go r.ahead.open(fail)
	err := r.box.Run(ctx, "/bin/sh", BoxRun+"/install")
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	return r.ahead.owners(), nil
}

// finish makes a layer of what dpkg left.
func (r *dpkgRun) finish(chowns string, owners map[string]tarOwner) error {
	notes, err := tidyDebs(r.fs, r.epoch)
	if err != nil {
		return err
	}
	for _, n := range notes {
		if r.notice != nil {
			r.notice(n)
		}
	}
	tree := layer.NewStack(r.trees)
	defer tree.Close()
	log, err := readChowns(chowns)
	if err != nil {
		return err
	}
	index, err := layerOwners(r.fs, tree, owners, parseChowns(log))
	if err != nil {
		return err
	}
	return layer.WriteOwners(r.dir, index)
}
