package build

import (
	"fmt"
	"os"
	"path"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/deb"
)

// debFile is one pinned .deb that is at hand.
type debFile struct {
	pin  envfile.DebPin
	path string // on the host
	pkg  *deb.Package
}

// name is what the file is called inside; the pin's own parts are checked, so it is safe in a shell.
func (f debFile) name() string { return debPin(f.pin).FileName() }

// debPin is the pin as package deb knows it.
func debPin(p envfile.DebPin) deb.Pin {
	return deb.Pin{Name: p.Name, Version: p.Version, Arch: p.Arch, Archive: p.Archive, Path: p.Path, Size: p.Size, SHA256: p.SHA256}
}

// openDebs finds the files of pins and reads their control files, in the order of unpacking.
func openDebs(pins []envfile.DebPin, find func(envfile.DebPin) (string, error)) ([]debFile, error) {
	out := make([]debFile, len(pins))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range pins {
		g.Go(func() error {
			if err := debPin(p).Check(); err != nil {
				return fmt.Errorf("lock: %w", err)
			}
			name, err := find(p)
			if err != nil {
				return fmt.Errorf("package %s %s: %w", p.Name, p.Version, err)
			}
			f, err := os.Open(name)
			if err != nil {
				return fmt.Errorf("package %s %s: %w", p.Name, p.Version, err)
			}
			defer f.Close()
			pkg, err := deb.ReadPackage(f)
			if err != nil {
				return fmt.Errorf("package %s %s: %w", p.Name, p.Version, err)
			}
			if pkg.Name != p.Name || pkg.Version != p.Version || pkg.Arch != p.Arch {
				return fmt.Errorf("package %s %s: the file holds %s", p.Name, p.Version, pkg.FileName())
			}
			out[i] = debFile{p, name, pkg}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return debOrder(out)
}

// debOrder is one fixed order, whatever order a lock has.
func debOrder(files []debFile) ([]debFile, error) {
	pkgs := make([]*deb.Package, len(files))
	seen := map[string]bool{}
	for i, f := range files {
		if pkgs[i] = f.pkg; seen[f.pin.Name+":"+f.pin.Arch] {
			return nil, fmt.Errorf("lock: package %s is there twice", f.pin.Name)
		}
		seen[f.pin.Name+":"+f.pin.Arch] = true
	}
	out := make([]debFile, 0, len(files))
	for _, i := range deb.Order(pkgs) {
		out = append(out, files[i])
	}
	return out, nil
}

// debBinds shows the files read-only inside, each under its usual name.
func debBinds(files []debFile) []BoxBind {
	out := make([]BoxBind, len(files))
	for i, f := range files {
		out[i] = BoxBind{Source: f.path, Target: path.Join(debsInside, f.name())}
	}
	return out
}
