package build

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/internal/progress"
)

// DebBaseInput is what a deb: base is made from.
type DebBaseInput struct {
	Debs   []envfile.DebPin
	Path   func(envfile.DebPin) (string, error) // where the verified .deb lies
	Epoch  int64
	Dir    string // the new layer's folder, with fs/ and tar/
	Report progress.Report
	Notice func(string) // what the user will miss; nil: nobody is told
	Log    *slog.Logger
}

// AssembleDebBase makes a base of nothing but .debs: Go unpacks what dpkg needs to run, then dpkg
// installs everything in one fixed order, offline, inside of a sandbox. Equal input gives equal
// bytes, for root and for everybody else.
func AssembleDebBase(ctx context.Context, in DebBaseInput) error {
	files, err := openDebs(in.Debs, in.Path)
	if err != nil {
		return err
	}
	fs, aside := filepath.Join(in.Dir, "fs"), filepath.Join(in.Dir, "aside")
	in.Report.Do("build", "base", 0, int64(len(files)))
	if err := os.Mkdir(aside, 0o700); err != nil {
		return err
	}
	defer store.RemoveAll(aside)
	ahead, err := newDebAhead(fs, aside, files)
	if err != nil {
		return err
	}
	defer ahead.close()
	batches, err := ahead.skeleton(ctx)
	if err != nil {
		return err
	}
	policy := filepath.Join(fs, policyAsked)
	if err := os.WriteFile(policy, []byte(policyScript), 0o755); err != nil {
		return err
	}
	run := dpkgRun{
		box: &Box{Bind: fs, Log: in.Log}, files: files, batches: batches, fs: fs,
		dir: in.Dir, epoch: in.Epoch, notice: in.Notice, ahead: ahead,
	}
	if err := run.do(ctx); err != nil {
		return err
	}
	for _, f := range []string{policy, filepath.Join(fs, "var/lib/dpkg/available")} { // the latter is empty
		if err := gone(os.Remove(f)); err != nil {
			return err
		}
	}
	in.Report.Do("build", "base", int64(len(files)), int64(len(files)))
	return nil
}

// mergedLinks are the links of a merged /usr beside bin, sbin and lib, by architecture.
var mergedLinks = map[string][]string{
	"amd64": {"lib32", "lib64", "libx32"}, "i386": {"lib64", "libx32"}, "ppc64el": {"lib64"}, "s390x": {"lib32"}, "loong64": {"lib64"},
}

// makeDirs makes a folder and those above it with mode 0755, whatever the caller's umask is.
func makeDirs(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeDirs(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// mergeUsr makes bin, sbin and lib links into usr where the release is of that kind and base-files
// does not bring the links itself.
func mergeUsr(fs string, files []debFile, baseFiles debFile) error {
	merged := slices.ContainsFunc(files, func(f debFile) bool { return f.pin.Name == "usr-is-merged" || f.pin.Name == "usrmerge" })
	if !merged {
		return nil
	}
	names := append([]string{"bin", "sbin", "lib"}, mergedLinks[baseFiles.pin.Arch]...)
	for _, n := range names {
		if err := makeDirs(filepath.Join(fs, "usr", n)); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+n, filepath.Join(fs, n)); err != nil {
			return err
		}
	}
	return nil
}
