package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/layer"
	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// oldestPython is the first minor version of Python 3 for which /opt/env is made.
const oldestPython = 8

// pipDeb is the Debian package that holds the wheel of pip.
const pipDeb = "python3-pip-whl"

// python finds the interpreter of what is built so far. The caller closes the stack.
func (b *Builder) python(env *Env) (Python, *layer.Stack, error) {
	st := layer.NewStack(env.dirs())
	py, err := FindPython(st, pathOf(env.Image.Env))
	if err == nil && py.Minor() < oldestPython {
		err = hint.With(fmt.Errorf("/opt/env needs Python 3.%d or newer, the image has %s", oldestPython, py.Version), "take a base with a newer Python")
	}
	return py, st, err
}

// hasIndex says whether a package can be looked for at all.
func (b *Builder) hasIndex(ctx context.Context) bool {
	set, err := b.indexes(ctx, nil)
	return err == nil && len(set.List) > 0 && !b.Offline
}

// addPython has the layer of /opt/env, which exists whenever the environment has a Python.
func (b *Builder) addPython(ctx context.Context, env *Env, sec *envfile.Section, epoch int64) error {
	pins := wheelsOf(sec)
	py, st, err := b.python(env)
	defer st.Close()
	if err != nil {
		if len(pins) == 0 {
			return nil
		}
		return err
	}
	debs := debsOf(sec, "pip")
	name, err := key("python", env.names(), wheelIdentity(pins), debIdentity(debs), py.Path, py.Version, py.Full, epoch)
	if err != nil {
		return err
	}
	err = b.make(ctx, env, name, "Python packages", func(dir string) error {
		wheels, err := b.wheels(ctx, env, sec, st, py, pins, debs)
		if err != nil {
			return err
		}
		return BuildPythonEnv(PythonEnv{Dir: filepath.Join(dir, "fs"), Python: py, Wheels: wheels, Notice: b.Notice})
	})
	if err != nil {
		return err
	}
	env.PythonEnv = true
	env.Layers[len(env.Layers)-1].linked = true
	for _, p := range pins {
		env.Wheels = append(env.Wheels, p.SHA256)
	}
	for _, d := range debs { // see debPip
		env.Wheels = append(env.Wheels, d.SHA256)
	}
	return nil
}

// wheels has everything in the store, unpacked.
func (b *Builder) wheels(ctx context.Context, env *Env, sec *envfile.Section, st *layer.Stack, py Python, locked []envfile.WheelPin, debs []envfile.DebPin) ([]wheel.Wheel, error) {
	pins := make([]wheel.Pin, len(locked))
	pip := false
	for i, p := range locked {
		pins[i] = WheelOf(p)
		pins[i].URL = b.urls[p.SHA256]
		pip = pip || wheel.Normalize(p.Name) == "pip"
	}
	if pip { // it may be the one that lies in the image
		if _, err := PipFromBase(ctx, b.Store, st, py); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	missing, err := wheel.Missing(ctx, b.Store, pins)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		if err := b.fetchWheels(ctx, env, missing); err != nil {
			return nil, err
		}
	}
	wheels, err := wheel.Prepare(ctx, b.Store, pins, b.Report)
	if err != nil || len(debs) == 0 || pip {
		return wheels, err
	}
	w, err := b.debPip(ctx, env, sec, debs)
	return append(wheels, w), err
}

func (b *Builder) fetchWheels(ctx context.Context, env *Env, missing []wheel.Pin) error {
	if b.Offline {
		return hint.With(fmt.Errorf("not in the store, and --offline is given: %s", missing[0].File), "run once without --offline")
	}
	set, err := b.indexes(ctx, env)
	if err != nil {
		return err
	}
	own, err := requirementIndexes(b.Dir, b.File)
	if err != nil {
		return err
	}
	set.List = append(own, set.List...)
	return wheel.Fetch(ctx, b.Fetch, b.Store, set, missing, b.Report)
}

// debPip is the wheel of pip in the pinned .deb, unpacked. It lies in the store under the digest of the
// .deb: inflating that for every layer would take longer than linking all wheels.
func (b *Builder) debPip(ctx context.Context, env *Env, sec *envfile.Section, debs []envfile.DebPin) (wheel.Wheel, error) {
	w := wheel.Wheel{File: pipDeb}
	d, err := store.FromHex(debs[0].SHA256)
	if err != nil {
		return w, err
	}
	if _, ok := b.Store.Wheel(ctx, d.Hex()); !ok {
		if err := b.fetchDebs(ctx, debs, sec.Image.Ref, env); err != nil {
			return w, err
		}
	}
	w.Dir, _, err = b.Store.MakeWheel(ctx, d.Hex(), func(dir string) error {
		f, err := b.Store.OpenBlob(ctx, d)
		if err != nil {
			return err
		}
		defer f.Close()
		pin, err := PipFromDeb(ctx, b.Store, f)
		if err != nil {
			return err
		}
		file, err := b.Store.BlobPath(ctx, store.Digest("sha256:"+pin.SHA256))
		if err != nil {
			return err
		}
		return wheel.Unpack(file, pin.File, dir)
	})
	return w, err
}

// lockPython pins the wheels of a section: what [python] asks for, what claims of [toolchain] need
// (requirements, and conditions on what others require), and pip.
func (l *locking) lockPython(ctx context.Context, reqs, conditions []string) error {
	py, st, err := l.Builder.python(l.env)
	defer st.Close()
	asked := l.File.Python
	wants := len(asked.Packages)+len(asked.Requirements)+len(reqs) > 0 || asked.Project != ""
	if err != nil {
		if wants {
			return err
		}
		return nil
	}
	if wants {
		if err := l.resolvePython(ctx, st, py, reqs, conditions); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(l.sec.Wheels, func(w envfile.WheelPin) bool { return w.Name == "pip" && w.From != fromBase }) {
		return nil
	}
	var foreign *ForeignError
	if err := l.lockPip(ctx, st, py); errors.As(err, &foreign) {
		return err
	} else if err != nil {
		l.without("pip", err)
		l.notice("/opt/env gets no pip of its own: %v", err)
	}
	slices.SortFunc(l.sec.Wheels, func(a, b envfile.WheelPin) int { return strings.Compare(a.Name, b.Name) })
	return ctx.Err()
}

// resolvePython lets uv resolve, in the layers that are built so far.
func (l *locking) resolvePython(ctx context.Context, st *layer.Stack, py Python, reqs, conditions []string) error {
	if l.Offline {
		return hint.With(errors.New("python packages cannot be resolved: --offline is given"), "lock once without --offline")
	}
	set, err := l.indexes(ctx, l.env)
	if err != nil {
		return err
	}
	uv, err := FindUV(ctx, UVRequest{Configured: l.User.UV, Getenv: func(k string) string { return l.Environ[k] },
		Store: l.Store, Fetch: l.Fetch, Set: set, Report: l.Report, Log: l.Log})
	if err != nil {
		return err
	}
	base, err := wheel.Installed(st, py.Site)
	if err != nil {
		return err
	}
	stubs, err := l.stubsDir(ctx)
	if err != nil {
		return err
	}
	tmp, cleanup, err := l.Store.TempDir("uv-")
	if err != nil {
		return err
	}
	defer cleanup()
	cache, err := key("uv cache", l.env.names())
	if err != nil {
		return err
	}
	pins, err := ResolvePython(ctx, PythonRequest{
		Box: Box{Lowers: l.env.dirs(), Stubs: stubs, Log: l.Log}, Python: py, File: l.File, Dir: l.Dir,
		Packages: reqs, Limits: conditions, Base: base, Prefer: l.keep.Wheels, UV: uv,
		Client: wheel.NewClient(l.Fetch), Set: set, CA: hostCA(l.Environ), Environ: l.Environ,
		Temp: tmp, Cache: l.Store.Path("caches-v1", "uv-"+cache[:16]), Notice: l.Notice,
	})
	if err != nil {
		return err
	}
	for _, p := range pins {
		l.pinWheel(p)
	}
	if l.File.Resolve.AsOf != "" && !slices.Contains(l.lock.AsOfKept, "python") {
		l.lock.AsOfKept = append(l.lock.AsOfKept, "python")
	}
	return nil
}

func (l *locking) pinWheel(p ResolvedWheel) {
	l.sec.Wheels = append(l.sec.Wheels, p.WheelPin)
	if p.URL != "" {
		if l.urls == nil {
			l.urls = map[string]string{}
		}
		l.urls[p.SHA256] = p.URL
	}
}

// lockPip pins pip: Debian's, whose Python has none; else the one that comes with the interpreter,
// else one of the index.
func (l *locking) lockPip(ctx context.Context, st *layer.Stack, py Python) error {
	_, err := st.Stat("/var/lib/dpkg/status")
	if debian := err == nil && path.Dir(py.Path) == "/usr/bin"; debian {
		if l.foreign() {
			return l.foreignPip()
		}
		debs, err := l.lockApt(ctx, l.env, "pip", []string{pipDeb}, l.keep.Debs)
		if err == nil {
			for _, d := range debs {
				if d.Name == pipDeb {
					l.sec.Debs = append(l.sec.Debs, d)
					return nil
				}
			}
			err = fmt.Errorf("the archives have no package %s", pipDeb)
		}
		if ctx.Err() != nil {
			return err
		}
		l.without("pip from the archives", err)
	}
	pin, err := PipFromBase(ctx, l.Store, st, py)
	if errors.Is(err, fs.ErrNotExist) {
		if l.Offline {
			return errors.New("--offline is given")
		}
		var set wheel.Set
		if set, err = l.indexes(ctx, l.env); err != nil {
			return err
		}
		pin, err = PipFromIndex(ctx, wheel.NewClient(l.Fetch), set, py, l.keep.Wheels["pip"])
	}
	if err != nil {
		return err
	}
	for _, w := range resolved([]wheel.Pin{pin}) {
		l.sec.Wheels = slices.DeleteFunc(l.sec.Wheels, func(o envfile.WheelPin) bool { return o.Name == "pip" })
		l.pinWheel(w)
	}
	return nil
}

// hostCA is the host's bundle of certificates: the network of the host may have an authority of its
// own.
func hostCA(environ map[string]string) string {
	for _, f := range []string{
		environ["SSL_CERT_FILE"], "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
	} {
		if fi, err := os.Stat(f); f != "" && err == nil && fi.Mode().IsRegular() {
			return f
		}
	}
	return ""
}

// addBytecode has the derived layer of compiled modules. It is of this machine: no lock, digest or
// export knows it.
func (b *Builder) addBytecode(ctx context.Context, env *Env) error {
	py, st, err := b.python(env)
	defer st.Close()
	if err != nil {
		return nil
	}
	dirs := []string{py.Stdlib}
	for _, d := range append(slices.Clone(py.Site), EnvPrefix+"/lib/python"+py.Version+"/site-packages") {
		if rel, err := filepath.Rel(py.Stdlib, d); err != nil || !filepath.IsLocal(rel) {
			if fi, err := st.Stat(d); err == nil && fi.IsDir() {
				dirs = append(dirs, d)
			}
		}
	}
	name, err := key("bytecode", env.names(), bytecodeKind, py.Path, py.Version, dirs)
	if err != nil {
		return err
	}
	stubs, err := b.stubsDir(ctx)
	if err != nil {
		return err
	}
	err = b.make(ctx, env, name, "bytecode of this machine", func(dir string) error {
		return BuildBytecode(ctx, Bytecode{Box: Box{Lowers: env.dirs(), Stubs: stubs, Log: b.Log}, Python: py, Dirs: dirs, Dir: dir})
	})
	var exit *ExitError
	switch {
	case errors.As(err, &exit): // programs start slower without it, and that is all
		b.notice("no bytecode: %v", err)
		return nil
	case err != nil:
		return err
	}
	env.Layers[len(env.Layers)-1].derived = true
	return nil
}
