package build

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// InstallDebsInput is what a layer of packages is made from.
type InstallDebsInput struct {
	Lowers []string // trees of the layers below, bottom first
	Owners []string // folders of those of them that say whose files are, see [Env.OwnerDirs]
	Debs   []envfile.DebPin
	Path   func(envfile.DebPin) (string, error) // where the verified .deb lies
	Epoch  int64
	Dir    string // the new layer's folder, with fs/ and tar/
	Report progress.Report
	Notice func(string) // what the user will miss; nil: nobody is told
	Log    *slog.Logger
}

// InstallDebs makes a layer of what dpkg changes when it installs packages on the layers below, in
// one fixed order, offline. Equal input gives equal bytes, for root and for everybody else.
func InstallDebs(ctx context.Context, in InstallDebsInput) error {
	files, err := openDebs(in.Debs, in.Path)
	if err != nil {
		return err
	}
	aside := filepath.Join(in.Dir, "aside")
	if err := os.Mkdir(aside, 0o700); err != nil {
		return err
	}
	defer store.RemoveAll(aside)
	fs, work, stubs := filepath.Join(in.Dir, "fs"), filepath.Join(aside, "work"), filepath.Join(aside, "stubs")
	for _, d := range []string{work, stubs} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := MakeStubs(stubs); err != nil {
		return err
	}
	in.Report.Do("install", "packages", 0, int64(len(files)))
	run := dpkgRun{
		box:   &Box{Lowers: in.Lowers, Upper: fs, Work: work, Stubs: stubs, Log: in.Log},
		files: files, batches: []debBatch{{files: files}}, fs: fs, below: in.Owners,
		dir: in.Dir, epoch: in.Epoch, notice: in.Notice,
	}
	// A policy of the image's own stays; ours is shown over a mount point that no layer has.
	if err := os.MkdirAll(filepath.Join(stubs, "usr/sbin"), 0o755); err != nil {
		return err
	}
	for _, f := range []string{filepath.Join(stubs, policyAsked), filepath.Join(aside, "policy")} {
		if err := os.WriteFile(f, []byte(policyScript), 0o755); err != nil {
			return err
		}
	}
	run.binds = []BoxBind{{Source: filepath.Join(aside, "policy"), Target: policyAsked}}
	if err := run.do(ctx); err != nil {
		return err
	}
	in.Report.Do("install", "packages", int64(len(files)), int64(len(files)))
	return layer.CleanUpper(fs)
}
