package driver

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/gpu"
)

// Discover finds the driver of this machine. Errors are [*NoModuleError], [*NotFoundError] and
// [*MismatchError], each with a hint; files that cannot be used are left out with a note.
func Discover(roots gpu.Roots, o Options) (*Set, error) {
	if len(o.Caps) == 0 {
		o.Caps = defaults()
	}
	if isWSL(roots) {
		return discoverWSL(roots, o)
	}
	version := o.Version
	if version == "" {
		version = ModuleVersion(roots)
	}
	if version == "" {
		return nil, &NoModuleError{Path: path.Join(roots.Proc, "driver/nvidia/version")}
	}
	s := &Set{Version: version}
	f := finder{set: s, root: roots.FS, version: version, caps: o.Caps, seen: map[library]bool{}, others: map[string][]string{}}
	f.places.root = roots.FS
	if err := f.libraries(o.DriverRoot); err != nil {
		return nil, err
	}
	f.programs(o.DriverRoot)
	f.data(o.DriverRoot)
	s.sockets(roots, o)
	return s, nil
}

// finder collects files of one version.
type finder struct {
	set     *Set
	root    string
	version string
	caps    []gpu.Capability
	places  places
	seen    map[library]bool    // that were taken, by name and by SONAME
	others  map[string][]string // versions of libcuda that are not ours → folders
}

// library is what can be there once.
type library struct {
	name  string
	class int
}

// libraries looks through all folders. Those of the driver root, if there is one with libcuda, are the
// only ones: a driver is not put together from two.
func (f *finder) libraries(driverRoot string) error {
	if driverRoot != "" {
		f.look(RootDirs(driverRoot))
	}
	if !f.has("libcuda.so." + f.version) {
		f.look(cached(f.root))
		f.look(libDirs(f.root, f.caps))
	} else if f.wants(gpu.Compat32) {
		f.look(libDirs(f.root, f.caps))
	}
	if !f.has("libcuda.so." + f.version) {
		return f.missing()
	}
	slices.SortFunc(f.set.Files, func(a, b File) int {
		if a.Class != b.Class {
			return b.Class - a.Class
		}
		return strings.Compare(a.Name, b.Name)
	})
	return nil
}

func (f *finder) missing() error {
	var dirs []string
	var versions []string
	for v, where := range f.others {
		versions = append(versions, v)
		for _, d := range where {
			if !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
	}
	if len(versions) == 0 {
		return &NotFoundError{Version: f.version, File: "libcuda.so." + f.version, Searched: f.places.paths(), Notes: f.set.Notes}
	}
	slices.Sort(versions)
	slices.Sort(dirs)
	return &MismatchError{Module: f.version, Libraries: versions, Dirs: dirs}
}

// has tells whether a native library was found, wanted or not.
func (f *finder) has(name string) bool { return f.seen[library{name, 64}] }

func (f *finder) look(dirs []string) {
	for _, d := range dirs {
		p := f.places.add(d)
		if p == nil {
			continue
		}
		if f.in(p.path, p.names) {
			f.set.Dirs = append(f.set.Dirs, p.path)
		}
		if slices.Contains(p.names, "vdpau") && f.wants(gpu.Video) {
			f.in(path.Join(p.path, "vdpau"), names(path.Join(p.path, "vdpau")))
		}
	}
}

// in takes the files of one folder; ours tells whether it is a folder of this driver.
func (f *finder) in(dir string, list []string) (ours bool) {
	slices.Sort(list)
	ours = slices.ContainsFunc(list, func(n string) bool { _, v, ok := cutVersion(n); return ok && v == f.version })
	for _, name := range list {
		if v, ok := strings.CutPrefix(name, "libcuda.so."); ok && IsVersion(v) && v != f.version {
			f.others[v] = append(f.others[v], dir)
			continue
		}
		caps, ok := capsOf(name, f.version)
		if !ok {
			continue
		}
		isCuda := name == "libcuda.so."+f.version
		if !wanted(caps, f.caps) && !isCuda {
			continue
		}
		f.take(path.Join(dir, name), caps, isCuda && !wanted(caps, f.caps))
	}
	return ours
}

// take reads one library; quiet ones are only remembered as being there.
func (f *finder) take(name string, caps []gpu.Capability, quiet bool) {
	real, err := inRoot(f.root, within(f.root, name))
	if err != nil {
		return // a dangling link of a removed package
	}
	base := path.Base(name)
	file, facts, err := open(real)
	switch {
	case err != nil:
		f.note("%s is left out: %v", base, err)
		return
	case !facts.native(), facts.class == 32 && !f.wants(gpu.Compat32):
		return
	}
	// Of the files with versions of their own there may be two; the linker takes one per SONAME.
	byName, bySONAME := library{base, facts.class}, library{file.SONAME, facts.class}
	if f.seen[byName] || file.SONAME != "" && f.seen[bySONAME] {
		return
	}
	f.seen[byName], f.seen[bySONAME] = true, true
	if quiet {
		return
	}
	if prefix, _, _ := strings.Cut(base, ".so."); !strings.HasPrefix(file.Name, prefix+".so.") {
		file.Name = base
	}
	file.Caps = caps
	f.set.Files = append(f.set.Files, file)
}

func (f *finder) note(format string, args ...any) {
	f.set.Notes = append(f.set.Notes, fmt.Sprintf(format, args...))
}

// open is the File of a path without links.
func open(real string) (File, facts, error) {
	fi, ok := regular(real)
	if !ok {
		return File{}, facts{}, fmt.Errorf("not a regular file: %s", real)
	}
	x, err := inspect(real)
	if err != nil {
		return File{}, facts{}, err
	}
	f := File{Path: real, Name: path.Base(real), SONAME: x.soname, Class: x.class, Glibc: x.glibc, Interp: x.interp}
	f.stat(fi)
	return f, x, nil
}

func (f *File) stat(fi fs.FileInfo) {
	f.Size, f.Mtime = fi.Size(), fi.ModTime().UnixNano()
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		f.Inode = st.Ino
	}
}

// programs of a capability.
var programs = []struct {
	name string
	cap  gpu.Capability
}{
	{"nvidia-smi", gpu.Utility}, {"nvidia-debugdump", gpu.Utility}, {"nvidia-persistenced", gpu.Utility},
	{"nvidia-cuda-mps-control", gpu.Compute}, {"nvidia-cuda-mps-server", gpu.Compute},
}

func (f *finder) programs(driverRoot string) {
	var dirs []string
	if driverRoot != "" {
		dirs = append(dirs, path.Join(driverRoot, "bin"), path.Join(driverRoot, "usr/bin"), driverRoot)
	}
	dirs = append(dirs, "/usr/bin", "/bin", "/usr/local/nvidia/bin", "/home/kubernetes/bin/nvidia/bin", "/opt/nvidia/current/bin", "/opt/bin", "/run/nvidia/driver/usr/bin", "/var/lib/nvidia/bin", "/run/current-system/sw/bin", "/usr/sbin")
	for _, d := range f.set.Dirs {
		if path.Base(path.Dir(d)) == "nvidia" { // Debian: …/x86_64-linux-gnu/nvidia/tesla-470 and /usr/lib/nvidia/tesla-470
			dirs = append(dirs, "/usr/lib/nvidia/"+path.Base(d))
		}
	}
	for _, p := range programs {
		if !f.wants(p.cap) {
			continue
		}
		for _, d := range dirs {
			real, err := inRoot(f.root, path.Join(d, p.name))
			if err != nil {
				continue
			}
			file, facts, err := open(real)
			if err != nil {
				f.note("%s is left out: %v", p.name, err)
				continue
			}
			if !facts.native() {
				continue
			}
			file.Name, file.Caps = p.name, []gpu.Capability{p.cap}
			f.set.Programs = append(f.set.Programs, file)
			break
		}
	}
	slices.SortStableFunc(f.set.Programs, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
}

// sockets are those of services that run on the host.
func (s *Set) sockets(roots gpu.Roots, o Options) {
	add := func(kind, at, target string, c gpu.Capability, dir bool) {
		if !wanted([]gpu.Capability{c}, o.Caps) {
			return
		}
		real, err := inRoot(roots.FS, at)
		if err != nil {
			return
		}
		if fi, err := os.Stat(real); err == nil && fi.IsDir() == dir {
			s.Sockets = append(s.Sockets, Socket{Kind: kind, Path: real, Target: target, Cap: c})
		}
	}
	for _, kind := range []string{"persistenced", "fabricmanager"} {
		at := "/run/nvidia-" + kind + "/socket"
		add(kind, at, at, gpu.Utility, false)
	}
	pipe := o.Environ["CUDA_MPS_PIPE_DIRECTORY"]
	named := pipe != ""
	if !named {
		pipe = "/tmp/nvidia-mps"
	}
	n := len(s.Sockets)
	if _, err := inRoot(roots.FS, path.Join(pipe, "control")); path.IsAbs(pipe) && err == nil {
		add("mps", pipe, "", gpu.Compute, true)
	}
	if named && len(s.Sockets) == n && wanted([]gpu.Capability{gpu.Compute}, o.Caps) {
		s.Notes = append(s.Notes, "CUDA_MPS_PIPE_DIRECTORY is "+pipe+", where no MPS server listens: programs run without MPS")
	}
}
