package wheel

import (
	"fmt"
	"strings"
)

// Filename is the parsed name of a wheel: {name}-{version}[-{build}]-{python}-{abi}-{platform}.whl.
type Filename struct {
	Name     string // as written, with _ for -
	Version  string
	Build    string
	Python   []string // a dotted set: py2.py3
	ABI      []string
	Platform []string
}

// ParseFilename takes the file name of a wheel apart.
func ParseFilename(s string) (Filename, error) {
	var f Filename
	stem, ok := strings.CutSuffix(s, ".whl")
	if !ok {
		return f, fmt.Errorf("not the name of a wheel: %q", s)
	}
	if len(s) > 255 {
		return f, fmt.Errorf("name of a wheel is too long: %d bytes", len(s))
	}
	p := strings.Split(stem, "-")
	switch len(p) {
	case 5:
	case 6:
		f.Build = p[2]
		if f.Build == "" || f.Build[0] < '0' || f.Build[0] > '9' {
			return f, fmt.Errorf("build tag of a wheel does not start with a digit: %q", s)
		}
		p = append(p[:2:2], p[3:]...)
	default:
		return f, fmt.Errorf("name of a wheel has %d parts, not 5 or 6: %q", len(p), s)
	}
	f.Name, f.Version = p[0], p[1]
	if !ValidName(f.Name) {
		return f, fmt.Errorf("not a project name in %q", s)
	}
	if _, err := ParseVersion(f.Version); err != nil {
		return f, fmt.Errorf("%q: %w", s, err)
	}
	for _, t := range p[2:] {
		if !validTags(t) {
			return f, fmt.Errorf("not a compatibility tag: %q in %q", t, s)
		}
	}
	f.Python, f.ABI, f.Platform = strings.Split(p[2], "."), strings.Split(p[3], "."), strings.Split(p[4], ".")
	return f, nil
}

func validTags(t string) bool {
	if t == "" {
		return false
	}
	for i := 0; i < len(t); i++ {
		if c := t[i]; !alnum(c) && c != '_' && c != '.' {
			return false
		}
	}
	return !strings.HasPrefix(t, ".") && !strings.HasSuffix(t, ".") && !strings.Contains(t, "..")
}
