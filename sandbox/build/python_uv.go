package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/images/wheel"
	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

// uvRun is one resolution in progress.
type uvRun struct {
	r          PythonRequest
	set        wheel.Set
	cutoff     time.Time
	env        []string
	args       []string // of pip compile, beside its output
	sources    []string // what it resolves: files
	base       []wheel.Dist
	binds      []BoxBind
	ownIndexes bool // requirements files name indexes themselves
}

func newUVRun(ctx context.Context, r PythonRequest) (*uvRun, error) {
	cutoff, err := asOf(r.File.Resolve.AsOf)
	if err != nil {
		return nil, fmt.Errorf("[resolve] as-of: %w", err)
	}
	u := &uvRun{r: r, set: r.Set, cutoff: cutoff}
	if r.Python.Target.Full == "" {
		if err := u.askVersion(ctx); err != nil {
			return nil, err
		}
	}
	own, err := requirementIndexes(r.Dir, r.File)
	if err != nil {
		return nil, err
	}
	u.ownIndexes = len(own) > 0
	u.set.List = append(own, u.set.List...)
	if err := u.indexes(ctx); err != nil {
		return nil, err
	}
	return u, nil
}

var fullVersionRE = lazyregexp.New(`^3\.[0-9]{1,2}\.[0-9]{1,3}$`)

// askVersion runs the interpreter where its tree does not say its full version: markers and
// requires-python may need it.
func (u *uvRun) askVersion(ctx context.Context) error {
	out := &tailWriter{max: 256}
	b := u.r.Box
	b.Stdout = out
	err := b.Run(ctx, u.r.Python.Path, "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])")
	if err != nil {
		return fmt.Errorf("the image's Python does not run: %w", err)
	}
	v := strings.TrimSpace(out.String())
	if !fullVersionRE.MatchString(v) || !strings.HasPrefix(v, u.r.Python.Version+".") {
		return fmt.Errorf("%s does not say its version: %.40q", u.r.Python.Path, v)
	}
	u.r.Python.Target.Full = v
	return nil
}

// indexes tells uv by its environment where to look: addresses may hold passwords, and everybody on
// the machine can see arguments. An index that serves certain packages only is shown to uv as a
// folder of exactly these; uv asks it before the others and takes a package from where it finds it
// first.
func (u *uvRun) indexes(ctx context.Context) error {
	var list, links []string
	def := ""
	if d, err := u.r.Set.Default(); err == nil {
		def = d.URL
	}
	for _, x := range u.r.Set.List { // uv reads those of requirements files itself
		switch {
		case len(x.Only) > 0:
			if err := u.copyPages(ctx, x); err != nil {
				return err
			}
			list = append(list, "file://"+inside("index-"+x.Name))
		case strings.HasPrefix(x.URL, "file:"):
			at, ok := u.localIndex(x)
			switch {
			case !ok: // named in a configuration, but not there
			case x.Flat:
				links = append(links, at)
			default:
				list = append(list, "file://"+at)
			}
		case x.Flat:
			links = append(links, x.URL)
		case x.URL != def:
			list = append(list, x.URL)
		}
	}
	links = append(links, inside("base"))
	u.env = []string{
		"UV_CACHE_DIR=" + path.Join(BoxRun, "uv-cache"), "UV_NO_CONFIG=1", "UV_PYTHON_DOWNLOADS=never", "UV_NO_PROGRESS=1", "NO_COLOR=1",
		"UV_FIND_LINKS=" + strings.Join(links, ","),
	}
	if def != "" {
		u.env = append(u.env, "UV_DEFAULT_INDEX="+def)
	}
	if len(list) > 0 {
		u.env = append(u.env, "UV_INDEX="+strings.Join(list, " "))
	}
	if u.r.CA != "" {
		u.env = append(u.env, "SSL_CERT_FILE="+path.Join(BoxRun, "ca.pem"))
	}
	for _, k := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"} {
		for _, k := range []string{k, strings.ToLower(k)} {
			if v := u.r.Environ[k]; v != "" {
				u.env = append(u.env, k+"="+v)
			}
		}
	}
	return nil
}

// localIndex shows a folder of this machine inside.
func (u *uvRun) localIndex(x wheel.Index) (at string, ok bool) {
	p, err := url.Parse(x.URL)
	if err != nil {
		return "", false
	}
	if fi, err := os.Stat(p.Path); err != nil || !fi.IsDir() {
		return "", false
	}
	at = path.Join(BoxRun, fmt.Sprintf("folder-%d", len(u.binds)))
	u.binds = append(u.binds, BoxBind{Source: p.Path, Target: at})
	return at, true
}

// asks says whether anything is to be resolved beside a lock of the project.
func (u *uvRun) asks() bool {
	py := u.r.File.Python
	return len(py.Packages)+len(u.r.Packages)+len(py.Requirements) > 0
}

// writeInputs writes what uv reads. Versions of a project's own lock are requirements like others.
func (u *uvRun) writeInputs(locked []wheel.Pin) error {
	py := u.r.File.Python
	var in strings.Builder
	for _, p := range slices.Concat(py.Packages, u.r.Packages) {
		in.WriteString(p + "\n")
	}
	for _, l := range locked {
		fmt.Fprintf(&in, "%s==%s\n", l.Name, l.Version)
	}
	if err := u.write("in.txt", in.String()); err != nil {
		return err
	}
	u.sources = append([]string{inside("in.txt")}, py.Requirements...)
	if err := u.write("limits.txt", strings.Join(u.r.Limits, "\n")); err != nil {
		return err
	}
	u.args = append(u.args, "-c", inside("limits.txt"))
	for _, c := range py.Constraints {
		u.args = append(u.args, "-c", c)
	}
	if p := py.Project; p != "" && locked == nil {
		if path.Ext(p) != ".toml" {
			p = path.Join(p, "pyproject.toml")
		}
		u.sources = append(u.sources, p)
		for _, x := range py.Extras {
			u.args = append(u.args, "--extra", x)
		}
		for _, g := range py.Groups {
			u.args = append(u.args, "--group", p+":"+g)
		}
	}
	if u.r.File.Resolve.AsOf != "" {
		u.args = append(u.args, "--exclude-newer", u.r.File.Resolve.AsOf)
		for _, x := range u.set.List {
			for _, o := range x.Only { // held to the date when their pages were copied
				u.args = append(u.args, "--exclude-newer-package", wheel.Normalize(o)+"=false")
			}
		}
	}
	return u.stubs()
}

// mostTries bounds how often the resolver is asked which packages of the base have to move.
const mostTries = 16

// compile resolves. First everything that the base has is held at its version. Where that cannot be,
// all is let go; what did not move is held again, and then what did move is held again one by one,
// as far as it can be.
func (u *uvRun) compile(ctx context.Context) ([]wheel.Pin, error) {
	pins, err := u.once(ctx, u.base)
	if err == nil || len(u.base) == 0 || !isResolveError(err) {
		return pins, err
	}
	best, err := u.once(ctx, nil)
	if err != nil {
		return nil, err
	}
	var hold, moved []wheel.Dist
	for _, d := range u.base {
		if slices.ContainsFunc(best, func(p wheel.Pin) bool {
			return wheel.Normalize(p.Name) == wheel.Normalize(d.Name) && !sameVersion(p.Version, d.Version)
		}) {
			moved = append(moved, d)
		} else {
			hold = append(hold, d)
		}
	}
	for i, d := range moved {
		if len(moved) == 1 || i == mostTries {
			break
		}
		pins, err := u.once(ctx, append(slices.Clone(hold), d))
		switch {
		case err == nil:
			best, hold = pins, append(hold, d)
		case !isResolveError(err):
			return nil, err
		}
	}
	return best, nil
}

// once runs uv with some of the base's packages held at their versions.
func (u *uvRun) once(ctx context.Context, hold []wheel.Dist) ([]wheel.Pin, error) {
	var c strings.Builder
	for _, d := range hold {
		fmt.Fprintf(&c, "%s==%s\n", d.Name, d.Version)
	}
	if err := u.write("hold.txt", c.String()); err != nil {
		return nil, err
	}
	if err := u.preferences(); err != nil {
		return nil, err
	}
	args := []string{"pip", "compile", "--quiet", "--format", "pylock.toml", "--no-header", "--only-binary", ":all:",
		"--python", u.r.Python.Path, "--output-file", inside("pylock.toml"), "-c", inside("hold.txt")}
	if err := u.uv(ctx, append(append(args, u.args...), u.sources...)...); err != nil {
		return nil, err
	}
	b, err := readNoFollow(u.r.Temp, "pylock.toml", 64<<20)
	if err != nil {
		return nil, err
	}
	lock, err := wheel.ParsePylock(b)
	if err != nil {
		return nil, err
	}
	pins, err := lock.Select(u.r.Python.Target, nil, nil)
	return pins, noWheels(err)
}

// preferences are written as an earlier output: uv keeps its versions where they fit. Pins of an
// earlier lock come before versions of the base.
func (u *uvRun) preferences() error {
	want := map[string]string{}
	for _, d := range u.base {
		want[wheel.Normalize(d.Name)] = d.Version
	}
	for n, v := range u.r.Prefer {
		want[wheel.Normalize(n)] = v
	}
	if len(want) == 0 {
		err := os.Remove(filepath.Join(u.r.Temp, "pylock.toml"))
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return err
	}
	names := make([]string, 0, len(want))
	for n := range want {
		names = append(names, n)
	}
	slices.Sort(names)
	b := bytes.NewBufferString("lock-version = \"1.0\"\ncreated-by = \"sandbox\"\n")
	for _, n := range names {
		fmt.Fprintf(b, "\n[[packages]]\nname = %q\nversion = %q\n", n, want[n])
	}
	return u.write("pylock.toml", b.String())
}

// uv runs uv in the box: over the image's layers, with the project to read and the scratch folder to
// write.
func (u *uvRun) uv(ctx context.Context, args ...string) error {
	b := u.r.Box
	b.Network = true
	b.Dir = path.Join(BoxRun, "project")
	b.Env = append(slices.Clone(b.Env), u.env...)
	b.Binds = append(slices.Clone(b.Binds),
		BoxBind{Source: u.r.UV, Target: path.Join(BoxRun, "uv")},
		BoxBind{Source: u.r.Dir, Target: path.Join(BoxRun, "project")},
		BoxBind{Source: u.r.Temp, Target: path.Join(BoxRun, "work"), Write: true},
		BoxBind{Source: u.r.Cache, Target: path.Join(BoxRun, "uv-cache"), Write: true})
	b.Binds = append(b.Binds, u.binds...)
	if u.r.CA != "" {
		b.Binds = append(b.Binds, BoxBind{Source: u.r.CA, Target: path.Join(BoxRun, "ca.pem")})
	}
	for _, d := range []string{u.r.Temp, u.r.Cache} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	err := b.Run(ctx, append([]string{path.Join(BoxRun, "uv")}, args...)...)
	if full := roomError(err); full != nil {
		return full
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		return u.explain(ctx, exit.Output)
	}
	return err
}
