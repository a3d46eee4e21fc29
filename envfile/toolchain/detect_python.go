package toolchain

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/lazyregexp"
)

var pythonBinary = lazyregexp.New(`^python3\.(\d+)$`)

// interpreter finds the python3 that comes first on the path.
func (t *tree) interpreter() {
	for _, dir := range t.path {
		name, minor := t.pythonIn(dir)
		if minor == 0 {
			continue
		}
		prefix, short := path.Dir(path.Clean(dir)), "3."+strconv.Itoa(minor)
		py := Python{Path: path.Join(dir, name)}
		if cfg := t.text(path.Join(prefix, "pyvenv.cfg")); cfg != "" {
			t.venv(cfg, prefix, short)
			return
		}
		py.Debian = (dir == "/usr/bin" || dir == "/bin") && t.found.Debs["python"+short+"-minimal"] != ""
		py.Version = t.pythonVersion(prefix, short, py.Debian)
		py.Sites = sitesOf(prefix, short, py.Debian)
		t.found.Python = py
		return
	}
}

// pythonIn is the python3.N in a folder. With several, links decide if they can be read, else the
// highest.
func (t *tree) pythonIn(dir string) (name string, minor int) {
	if res, ok := t.r.(Resolver); ok && len(t.names(dir, "python3")) > 0 {
		if to, err := res.Resolve(path.Join(dir, "python3")); err == nil {
			if m := pythonBinary.FindStringSubmatch(path.Base(to)); m != nil {
				minor, _ = strconv.Atoi(m[1])
				return "python3", minor
			}
		}
	}
	for _, n := range t.names(dir, "python3.*") {
		if m := pythonBinary.FindStringSubmatch(n); m != nil {
			if k, _ := strconv.Atoi(m[1]); k > minor {
				name, minor = n, k
			}
		}
	}
	return name, minor
}

// venv is a prefix over another interpreter, as /opt/env is: its own packages come first.
func (t *tree) venv(cfg, prefix, short string) {
	conf := map[string]string{}
	for line := range strings.Lines(cfg) {
		if k, v, ok := strings.Cut(line, "="); ok {
			conf[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	own := path.Join(prefix, "lib", "python"+short, "site-packages")
	home := conf["home"]
	if home != "" && path.IsAbs(home) && path.Dir(home) != prefix {
		below := &tree{r: t.r, path: []string{home}, found: Found{Debs: t.found.Debs}}
		if len(t.names(path.Dir(home), "pyvenv.cfg")) == 0 { // else a venv over a venv, perhaps over itself
			below.interpreter()
		}
		t.found.Python = below.found.Python
	}
	if !strings.HasPrefix(t.found.Python.Version, short) {
		t.found.Python = Python{Version: short}
	}
	py := &t.found.Python
	py.Path = path.Join(prefix, "bin", "python3")
	if conf["include-system-site-packages"] != "true" {
		py.Sites = nil
	}
	py.Sites = append([]string{own}, py.Sites...)
}

func sitesOf(prefix, short string, debian bool) []string {
	if debian {
		return []string{"/usr/local/lib/python" + short + "/dist-packages", "/usr/lib/python3/dist-packages", "/usr/lib/python" + short + "/dist-packages"}
	}
	return []string{path.Join(prefix, "lib", "python"+short, "site-packages"), path.Join(prefix, "lib64", "python"+short, "site-packages")}
}

var patchLevel = lazyregexp.New(`(?m)^#define\s+PY_VERSION\s+"([0-9A-Za-z.+]+)"`)

// pythonVersion looks for the whole version of an interpreter whose first two numbers are known.
func (t *tree) pythonVersion(prefix, short string, debian bool) string {
	if debian {
		for _, deb := range []string{"python" + short, "python" + short + "-minimal"} {
			if v := Upstream(t.found.Debs[deb]); v != "" {
				return v
			}
		}
	}
	if m := patchLevel.FindStringSubmatch(t.text(path.Join(prefix, "include", "python"+short, "patchlevel.h"))); m != nil {
		return m[1]
	}
	for _, name := range t.names(path.Join(prefix, "conda-meta"), "python-"+short+"*.json") {
		if p, ok := parseConda(name); ok && p.name == "python" {
			return p.version
		}
	}
	return short
}

func pythonFiles(t *tree) []Finding {
	if t.found.Python.Path == "" {
		return nil
	}
	return []Finding{{Version: t.found.Python.Version, At: t.found.Python.Path, From: "file"}}
}

var (
	distInfo = lazyregexp.New(`^(.+?)-([^-]+)\.dist-info$`)
	eggInfo  = lazyregexp.New(`^(.+?)-([^-]+)(?:-py3(?:\.\d+)?)?(?:-[a-z].*)?\.egg-info$`)
)

// distributions lists what Python sees: the first folder that has a distribution counts.
func (t *tree) distributions() {
	t.sites = map[string]string{}
	wanted := map[string]bool{}
	for _, tool := range table() {
		for _, d := range tool.Dists {
			wanted[d] = true
		}
	}
	for _, site := range t.found.Python.Sites {
		for _, kind := range []struct {
			pattern string
			re      *regexp.Regexp
			meta    []string
		}{{"*.dist-info", distInfo.Compiled(), []string{"METADATA"}}, {"*.egg-info", eggInfo.Compiled(), []string{"PKG-INFO", ""}}} {
			for _, name := range t.names(site, kind.pattern) {
				m := kind.re.FindStringSubmatch(name)
				if m == nil {
					continue
				}
				dist := normal(m[1])
				if _, have := t.found.Dists[dist]; have {
					continue
				}
				t.found.Dists[dist], t.sites[dist] = m[2], path.Join(site, name)
				if wanted[dist] {
					t.metadata(dist, path.Join(site, name), kind.meta)
				}
			}
		}
	}
}

// metadata takes the version from the distribution's own words: in names of folders it is escaped.
func (t *tree) metadata(dist, dir string, files []string) {
	for _, f := range files {
		for line := range strings.Lines(t.text(path.Join(dir, f))) {
			if strings.TrimSpace(line) == "" {
				break
			}
			if v, ok := strings.CutPrefix(line, "Version:"); ok {
				t.found.Dists[dist], t.sites[dist] = strings.TrimSpace(v), path.Join(dir, f)
				return
			}
		}
	}
}

var nameMarks = lazyregexp.New(`[-_.]+`)

// normal is a distribution's name as indexes compare it.
func normal(s string) string {
	return strings.Trim(nameMarks.ReplaceAllString(strings.ToLower(s), "-"), "-")
}
