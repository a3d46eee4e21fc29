package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/deb"
)

// debAhead inflates .debs before dpkg gets them, all processors at work: dpkg takes one after the
// other. The ones that it needs to run are unpacked on the way.
type debAhead struct {
	root  *os.File
	dir   string // holds the inflated .debs, and the gate
	files []debFile
	gate  *os.File // a fifo: dpkg waits for a line from it before the last batch
	late  *errgroup.Group
	stop  context.CancelFunc // of late
}

func newDebAhead(fs, aside string, files []debFile) (*debAhead, error) {
	a := &debAhead{dir: filepath.Join(aside, "debs"), files: files}
	if err := os.Mkdir(a.dir, 0o755); err != nil {
		return nil, err
	}
	gate := filepath.Join(a.dir, gateName)
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		return nil, &os.PathError{Op: "mkfifo", Path: gate, Err: err}
	}
	var err error
	if a.root, err = os.Open(fs); err != nil {
		return nil, err
	}
	// For reading, too: then opening does not wait for dpkg, nor does one line.
	if a.gate, err = os.OpenFile(gate, os.O_RDWR, 0); err != nil {
		a.root.Close()
		return nil, err
	}
	return a, nil
}

// skeleton makes a tree in which dpkg runs but has installed nothing yet, and has the .debs of the
// first batch. It begins with those of the second: open ends that.
func (a *debAhead) skeleton(ctx context.Context) ([]debBatch, error) {
	i := slices.IndexFunc(a.files, func(f debFile) bool { return f.pin.Name == "base-files" })
	if i < 0 {
		return nil, fmt.Errorf("the lock has no package base-files for the base")
	}
	fs := a.root.Name()
	if err := mergeUsr(fs, a.files, a.files[i]); err != nil {
		return nil, err
	}
	pkgs := make([]*deb.Package, len(a.files))
	for i, f := range a.files {
		pkgs[i] = f.pkg
	}
	// Policy lets every script use what is essential once it is unpacked, and scripts look for each
	// other's files (/etc/login.defs, debconf): all of it is there before the first one runs.
	needed := deb.Needed(pkgs, func(p *deb.Package) bool { return p.Essential })
	required := deb.Needed(pkgs, func(p *deb.Package) bool { return p.Essential || p.Priority == "required" })
	if err := a.inflate(i, true); err != nil {
		return nil, err
	}
	var now, late []int
	for j := range a.files {
		switch {
		case j == i:
		case required[j]:
			now = append(now, j)
		default:
			late = append(late, j)
		}
	}
	if err := a.all(ctx, now, needed).Wait(); err != nil {
		return nil, err
	}
	if err := dpkgFolders(fs); err != nil {
		return nil, err
	}
	ctx, a.stop = context.WithCancel(ctx)
	a.late = a.all(ctx, late, needed)
	return baseBatches(a.files, required), nil
}

// all inflates files, the largest first, so that no processor is left with a long one at the end.
func (a *debAhead) all(ctx context.Context, which []int, unpack []bool) *errgroup.Group {
	slices.SortStableFunc(which, func(x, y int) int { return cmp.Compare(a.files[y].pin.Size, a.files[x].pin.Size) })
	g, ctx := errgroup.WithContext(ctx)
	next := make(chan int, len(which))
	for _, j := range which {
		next <- j
	}
	close(next)
	for range runtime.GOMAXPROCS(0) {
		g.Go(func() error {
			for j := range next {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := a.inflate(j, unpack[j]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g
}

// inflate writes one .deb without compression, and unpacks it into the tree if unpack is set. What no
// program needs to run is left out there: dpkg writes everything again.
func (a *debAhead) inflate(j int, unpack bool) error {
	f := a.files[j]
	r, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(filepath.Join(a.dir, f.name()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	skip := func(name string) bool {
		for _, d := range []string{"usr/share/doc/", "usr/share/locale/", "usr/share/man/", "usr/share/info/"} {
			if strings.HasPrefix(name, d) {
				return true
			}
		}
		return !unpack
	}
	entries, err := deb.Unpack(r, a.root, deb.UnpackOptions{Plain: w, Skip: skip})
	if err = errors.Join(err, w.Close()); err == nil && unpack {
		err = rememberFolders(a.root, entries)
	}
	if err != nil {
		return fmt.Errorf("unpack %s: %w", f.name(), err)
	}
	return nil
}

// open opens the gate when the rest is done; what cannot be done goes to fail.
func (a *debAhead) open(fail func(error)) {
	err := a.late.Wait()
	if err == nil {
		_, err = a.gate.WriteString("go\n")
	}
	if err != nil {
		fail(err)
	}
}

func (a *debAhead) close() {
	if a.late != nil {
		a.stop()
		a.late.Wait()
	}
	a.root.Close()
	a.gate.Close()
}

// dpkgFolders makes what dpkg wants to find.
func dpkgFolders(fs string) error {
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

// baseBatches is the order in which a base is installed: what is essential or required with all that
// it needs, then the rest.
func baseBatches(files []debFile, required []bool) []debBatch {
	// The two that make accounts and folders are configured before others ask for these.
	first, rest := debBatch{first: []string{"base-passwd", "base-files"}}, debBatch{gate: true}
	for i, f := range files {
		if required[i] {
			first.files = append(first.files, f)
		} else {
			rest.files = append(rest.files, f)
		}
	}
	return []debBatch{first, rest}
}
