package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/internal/hint"
)

// filesAreThere refuses an env file that names files which are not there, each with its place.
func (p *Project) filesAreThere(f *envfile.File) error {
	var all envfile.Problems
	check := func(name string, key ...string) {
		if _, err := os.Stat(filepath.Join(p.Dir, name)); !errors.Is(err, fs.ErrNotExist) || filepath.IsAbs(name) {
			return
		}
		var found envfile.Problems
		shown := strings.TrimRight(strings.Join(key, "."), ".0123456789")
		if errors.As(f.Blame("", fmt.Sprintf("`%s` names a file that is not there: %q", shown, name), key...), &found) {
			all = append(all, found...)
		}
	}
	for i, name := range f.Python.Requirements {
		check(name, "python", "requirements", strconv.Itoa(i))
	}
	for i, name := range f.Python.Constraints {
		check(name, "python", "constraints", strconv.Itoa(i))
	}
	if name := f.Python.Project; name != "" {
		if base := path.Base(name); !strings.HasSuffix(base, ".toml") && base != "uv.lock" {
			name = path.Join(name, "pyproject.toml")
		}
		check(name, "python", "project")
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

// notInList is the error of a package that cannot be removed since another file asks for it.
func (p *Project) notInList(err error, kind, item string) error {
	f, ferr := p.File()
	if ferr != nil || kind != "python" {
		return err
	}
	for _, name := range f.Python.Requirements {
		src, rerr := p.readInput(name)
		if rerr != nil {
			continue
		}
		for line := range strings.SplitSeq(string(src), "\n") {
			word := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t=<>!~;[@#,(", r) })
			if len(word) > 0 && envfile.NormalName(word[0]) == envfile.NormalName(item) {
				return hint.With(err, name+" asks for it: take it out there, then run `sandbox lock`")
			}
		}
	}
	return err
}
