package build

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
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
	fs := filepath.Join(in.Dir, "fs")
	in.Report.Do("build", "base", 0, int64(len(files)))
	if err := debSkeleton(fs, files); err != nil {
		return err
	}
	aside := filepath.Join(in.Dir, "aside")
	if err := os.Mkdir(aside, 0o700); err != nil {
		return err
	}
	defer store.RemoveAll(aside)
	policy := filepath.Join(fs, policyAsked)
	if err := os.WriteFile(policy, []byte(policyScript), 0o755); err != nil {
		return err
	}
	run := dpkgRun{
		box: &Box{Bind: fs, Log: in.Log}, files: files, batches: baseBatches(files), fs: fs, trees: []string{fs},
		dir: in.Dir, aside: aside, epoch: in.Epoch, notice: in.Notice,
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

// debSkeleton makes a tree in which dpkg runs but has installed nothing yet.
func debSkeleton(fs string, files []debFile) error {
	root, err := os.Open(fs)
	if err != nil {
		return err
	}
	defer root.Close()
	i := slices.IndexFunc(files, func(f debFile) bool { return f.pin.Name == "base-files" })
	if i < 0 {
		return fmt.Errorf("the lock has no package base-files for the base")
	}
	if err := mergeUsr(fs, files, files[i]); err != nil {
		return err
	}
	pkgs := make([]*deb.Package, len(files))
	for i, f := range files {
		pkgs[i] = f.pkg
	}
	// Policy lets every script use what is essential once it is unpacked, and scripts look for each
	// other's files (/etc/login.defs, debconf): all of it is there before the first one runs.
	needed := deb.Needed(pkgs, func(p *deb.Package) bool { return p.Essential })
	if err := unpackDeb(root, files[i]); err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for j, f := range files {
		if needed[j] && j != i {
			g.Go(func() error { return unpackDeb(root, f) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, d := range []string{"proc", "sys", "dev", "tmp", "run/sandbox", "usr/sbin", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "etc"} {
		if err := makeDirs(filepath.Join(fs, d)); err != nil {
			return err
		}
	}
	for _, f := range []string{"status", "available"} { // dpkg makes its own of it
		if err := os.WriteFile(filepath.Join(fs, "var/lib/dpkg", f), nil, 0o644); err != nil {
			return err
		}
	}
	return nil
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

// unpackDeb leaves out what no program needs: dpkg writes everything again.
func unpackDeb(root *os.File, f debFile) error {
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = deb.Unpack(r, root, deb.UnpackOptions{Skip: func(name string) bool {
		for _, d := range []string{"usr/share/doc/", "usr/share/locale/", "usr/share/man/", "usr/share/info/"} {
			if strings.HasPrefix(name, d) {
				return true
			}
		}
		return false
	}})
	if err != nil {
		return fmt.Errorf("unpack %s: %w", f.name(), err)
	}
	return nil
}

// baseBatches is the order in which a base is installed: what is essential or required with all that
// it needs, then the rest.
func baseBatches(files []debFile) []debBatch {
	pkgs := make([]*deb.Package, len(files))
	for i, f := range files {
		pkgs[i] = f.pkg
	}
	required := deb.Needed(pkgs, func(p *deb.Package) bool { return p.Essential || p.Priority == "required" })
	// The two that make accounts and folders are configured before others ask for these.
	first, rest := debBatch{first: []string{"base-passwd", "base-files"}}, debBatch{}
	for i, f := range files {
		if required[i] {
			first.files = append(first.files, f)
		} else {
			rest.files = append(rest.files, f)
		}
	}
	return []debBatch{first, rest}
}
