package build

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Where dpkg's files lie inside.
const (
	debsInside  = BoxRun + "/debs"
	gateName    = "gate" // beside the .debs; no .deb has such a name
	policyAsked = "/usr/sbin/policy-rc.d"
)

// policyScript keeps maintainer scripts from starting services.
const policyScript = "#!/bin/sh\nexit 101\n"

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
	b.WriteString("set -e\numask 022\nexport LC_ALL=C\ncd " + debsInside + "\n")
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
	below   []string // folders of the layers below it, bottom first
	dir     string   // the new layer's folder
	epoch   int64
	notice  func(string)
	ahead   *debAhead // inflates the .debs meanwhile; nil: dpkg inflates
}

func (r *dpkgRun) do(ctx context.Context) error {
	r.box.Owners = true
	r.box.Files = map[string]string{"install": debScript(r.batches)}
	r.box.Binds = append(r.box.Binds, r.binds...)
	r.box.Env = append(r.box.Env, "DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true", "DEBCONF_NOWARNINGS=yes",
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.epoch), "PYTHONDONTWRITEBYTECODE=1")
	out := &tailWriter{max: 4 << 20}
	r.box.Stdout, r.box.Stderr = out, out
	if err := r.install(ctx); err != nil {
		return dpkgError(err, out.String())
	}
	return r.finish()
}

func (r *dpkgRun) install(ctx context.Context) error {
	if r.ahead == nil {
		r.box.Binds = append(debBinds(r.files), r.box.Binds...)
		return r.box.Run(ctx, "/bin/sh", BoxRun+"/install")
	}
	// dpkg runs on .debs that need no inflating any more.
	r.box.Binds = append([]BoxBind{{Source: r.ahead.dir, Target: debsInside}}, r.box.Binds...)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go r.ahead.open(fail)
	err := r.box.Run(ctx, "/bin/sh", BoxRun+"/install")
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	return err
}

// finish makes a layer of what dpkg left.
func (r *dpkgRun) finish() error {
	owners, err := newOwners(r.fs, r.below)
	if err != nil {
		return err
	}
	notes, err := tidyDebs(r.fs, r.epoch)
	if err != nil {
		return err
	}
	for _, n := range notes {
		if r.notice != nil {
			r.notice(n)
		}
	}
	return writeOwners(r.dir, owners)
}
