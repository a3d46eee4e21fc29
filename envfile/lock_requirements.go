package envfile

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// RequirementIncludes lists what a requirements file takes in: the files after -r and after -c, as
// they are written, so relative to the file itself. An address ("https://…") is listed like a file.
func RequirementIncludes(src []byte) (requirements, constraints []string) {
	for _, line := range requirementLines(src) {
		opt, arg := requirementOption(line)
		switch {
		case arg == "":
		case opt == "-r" || opt == "--requirement":
			requirements = append(requirements, arg)
		case opt == "-c" || opt == "--constraint":
			constraints = append(constraints, arg)
		}
	}
	return requirements, constraints
}

// requirementLines joins continued lines and drops comments and blanks.
func requirementLines(src []byte) []string {
	text := strings.ReplaceAll(strings.TrimPrefix(string(src), "\ufeff"), "\r\n", "\n")
	var out []string
	var cur string
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			line = "" // pip: a comment line ends nothing and joins nothing
			if cur != "" {
				continue
			}
		}
		if l, more := strings.CutSuffix(line, `\`); more {
			cur += l
			continue
		}
		cur += line
		if i := strings.Index(cur, " #"); i >= 0 {
			cur = cur[:i]
		} else if i := strings.Index(cur, "\t#"); i >= 0 {
			cur = cur[:i]
		}
		if cur = strings.TrimSpace(cur); cur != "" {
			out = append(out, cur)
		}
		cur = ""
	}
	if cur = strings.TrimSpace(cur); cur != "" {
		out = append(out, cur)
	}
	return out
}

// requirementOption splits "-r file", "-rfile", "--requirement file" and "--requirement=file".
func requirementOption(line string) (opt, arg string) {
	if !strings.HasPrefix(line, "-") {
		return "", line
	}
	end := strings.IndexAny(line, " \t=")
	if !strings.HasPrefix(line, "--") && len(line) > 2 && (end < 0 || end > 2) {
		end = 2
	}
	if end < 0 {
		return line, ""
	}
	arg = strings.TrimSpace(strings.TrimLeft(line[end:], " \t="))
	if len(arg) > 1 && (arg[0] == '"' || arg[0] == '\'') && arg[len(arg)-1] == arg[0] {
		arg = arg[1 : len(arg)-1]
	}
	return line[:end], arg
}

// InputFiles are the files of the project that the pins of f are made from, without those that they
// in turn name (see [AllInputFiles]): sorted, relative to the env file.
func InputFiles(f *File) []string {
	var out []string
	out = append(out, f.Python.Requirements...)
	out = append(out, f.Python.Constraints...)
	if f.Image.Dockerfile != "" {
		out = append(out, f.Image.Dockerfile)
	}
	for _, s := range f.Apt.Sources {
		if s.Key != "" {
			out = append(out, s.Key)
		}
	}
	if p := f.Python.Project; p != "" {
		switch base := path.Base(p); {
		case base == "uv.lock":
			out = append(out, p, path.Join(path.Dir(p), "pyproject.toml"))
		case strings.HasSuffix(base, ".toml"):
			out = append(out, p)
		default:
			out = append(out, path.Join(p, "pyproject.toml"))
		}
	}
	for i := range out {
		out[i] = path.Clean(out[i])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// AllInputFiles is InputFiles and every requirements and constraints file that these take in, at any
// depth. read gives a file of the project. A file outside of the project or an address is an error:
// the lock could not see it change.
func AllInputFiles(f *File, read func(name string) ([]byte, error)) ([]string, error) {
	const most = 1000
	seen := map[string]bool{}
	todo := slices.Concat(f.Python.Requirements, f.Python.Constraints)
	for ; len(todo) > 0; todo = todo[1:] {
		name := path.Clean(todo[0])
		if seen[name] {
			continue
		}
		if seen[name] = true; len(seen) > most {
			return nil, fmt.Errorf("more than %d requirements files", most)
		}
		src, err := read(name)
		if err != nil {
			return nil, err
		}
		reqs, cons := RequirementIncludes(src)
		for _, inc := range append(reqs, cons...) {
			if strings.Contains(inc, "://") {
				return nil, fmt.Errorf("%s takes in an address, which can change unseen: %s", name, inc)
			}
			to := path.Join(path.Dir(name), inc)
			if path.IsAbs(inc) || to == ".." || strings.HasPrefix(to, "../") {
				return nil, fmt.Errorf("%s takes in a file outside of the project: %s", name, inc)
			}
			todo = append(todo, to)
		}
	}
	all := InputFiles(f)
	for name := range seen {
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// NormalName is a Python distribution's name as indexes compare it: "Foo.Bar_baz" is "foo-bar-baz".
func NormalName(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r == '_' || r == '.' {
			r = '-'
		}
		if r == '-' && strings.HasSuffix(b.String(), "-") {
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
