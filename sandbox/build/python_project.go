package build

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images/wheel"
)

// projectLock reads uv.lock or pylock.toml of the project; nil if [python] project is neither.
func (u *uvRun) projectLock(ctx context.Context) ([]wheel.Pin, error) {
	py := u.r.File.Python
	var b []byte
	var err error
	switch base := path.Base(py.Project); {
	case base == "uv.lock":
		args := []string{"export", "--quiet", "--frozen", "--format", "pylock.toml", "--no-header", "--no-emit-project", "--no-default-groups",
			"--python", u.r.Python.Path, "--output-file", inside("pylock.exported.toml"), "--project", path.Dir(py.Project)}
		for _, x := range py.Extras {
			args = append(args, "--extra", x)
		}
		for _, g := range py.Groups {
			args = append(args, "--group", g)
		}
		if err := u.uv(ctx, args...); err != nil {
			return nil, err
		}
		b, err = readNoFollow(u.r.Temp, "pylock.exported.toml", 64<<20)
	case strings.HasPrefix(base, "pylock.") && strings.HasSuffix(base, ".toml"):
		b, err = readNoFollow(u.r.Dir, filepath.FromSlash(py.Project), 64<<20)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lock, err := wheel.ParsePylock(b)
	if err != nil {
		return nil, err
	}
	pins, err := lock.Select(u.r.Python.Target, py.Extras, py.Groups)
	for i := range pins { // the author's addresses: our indexes have the same files
		pins[i].URL, pins[i].Index = "", ""
	}
	if pins == nil {
		pins = []wheel.Pin{}
	}
	return pins, noWheels(err)
}

// requirementIndexes lists the indexes that requirements files name themselves. They belong to the
// project like its env file's, and get names by their order.
func requirementIndexes(dir string, f *envfile.File) ([]wheel.Index, error) {
	read := func(name string) ([]byte, error) { return readNoFollow(dir, filepath.FromSlash(name), 16<<20) }
	files, err := envfile.AllInputFiles(f, read)
	if err != nil {
		return nil, err
	}
	var out []wheel.Index
	for _, name := range files {
		if ext := path.Ext(name); ext != ".txt" && ext != ".in" && !slices.Contains(f.Python.Requirements, name) {
			continue
		}
		b, err := read(name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			opt, _, ok := strings.Cut(strings.ReplaceAll(strings.TrimSpace(line), "=", " "), " ")
			if !ok {
				continue
			}
			arg := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), opt)[1:])
			arg, _, _ = strings.Cut(arg, " #")
			x := wheel.Index{Name: fmt.Sprintf("requirements-%d", len(out)+1), URL: strings.TrimSuffix(strings.TrimSpace(arg), "/")}
			switch opt {
			case "-i", "--index-url", "--extra-index-url":
			case "-f", "--find-links":
				x.Flat = true
			default:
				continue
			}
			if strings.HasPrefix(x.URL, "https://") || strings.HasPrefix(x.URL, "http://") {
				out = append(out, x)
			}
		}
	}
	return out, nil
}
