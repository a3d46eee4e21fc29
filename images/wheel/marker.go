package wheel

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Environment is what markers are asked about: variables of PEP 508 and the two sets of PEP 751.
type Environment struct {
	Vars   map[string]string
	Extras []string // normalised
	Groups []string // normalised
}

// Environment gives the marker variables of t, with extras and dependency groups.
func (t Target) Environment(extras, groups []string) Environment {
	full := t.Full
	if full == "" {
		full = t.Python + ".0"
	}
	norm := func(in []string) []string {
		var out []string
		for _, s := range in {
			out = append(out, Normalize(s))
		}
		return out
	}
	return Environment{Vars: map[string]string{
		"implementation_name":            "cpython",
		"implementation_version":         full,
		"os_name":                        "posix",
		"platform_machine":               t.machine(),
		"platform_python_implementation": "CPython",
		"platform_release":               "",
		"platform_system":                "Linux",
		"platform_version":               "",
		"python_full_version":            full,
		"python_version":                 t.Python,
		"sys_platform":                   "linux",
		"extra":                          "",
	}, Extras: norm(extras), Groups: norm(groups)}
}

// Eval says whether a marker holds, `python_version >= "3.8" and sys_platform == "linux"`. The empty
// marker holds.
func (e Environment) Eval(marker string) (bool, error) {
	if strings.TrimSpace(marker) == "" {
		return true, nil
	}
	if len(marker) > 64<<10 {
		return false, errors.New("marker is too long")
	}
	toks, err := markerTokens(marker)
	if err != nil {
		return false, err
	}
	p := &markerParser{env: e, toks: toks}
	v, err := p.or(0)
	if err == nil && p.i != len(toks) {
		err = fmt.Errorf("unexpected %q", toks[p.i].text)
	}
	if err != nil {
		return false, fmt.Errorf("marker %q: %w", marker, err)
	}
	return v, nil
}

type markerToken struct {
	text   string
	quoted bool
}

func markerTokens(s string) ([]markerToken, error) {
	var out []markerToken
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '\'' || c == '"':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return nil, fmt.Errorf("marker %q: a quote is not closed", s)
			}
			out = append(out, markerToken{s[i+1 : i+1+end], true})
			i += end + 2
		case c == '(' || c == ')':
			out = append(out, markerToken{s[i : i+1], false})
			i++
		case strings.IndexByte("<>=!~", c) >= 0:
			j := i
			for j < len(s) && strings.IndexByte("<>=!~", s[j]) >= 0 {
				j++
			}
			out = append(out, markerToken{s[i:j], false})
			i = j
		case alnum(c) || c == '_' || c == '.':
			j := i
			for j < len(s) && (alnum(s[j]) || s[j] == '_' || s[j] == '.') {
				j++
			}
			out = append(out, markerToken{s[i:j], false})
			i = j
		default:
			return nil, fmt.Errorf("marker %q: unexpected %q", s, c)
		}
	}
	return out, nil
}

type markerParser struct {
	env  Environment
	toks []markerToken
	i    int
}

func (p *markerParser) word(w string) bool {
	if p.i < len(p.toks) && !p.toks[p.i].quoted && p.toks[p.i].text == w {
		p.i++
		return true
	}
	return false
}

func (p *markerParser) or(depth int) (bool, error) {
	v, err := p.and(depth)
	for err == nil && p.word("or") {
		var w bool
		w, err = p.and(depth)
		v = v || w
	}
	return v, err
}

func (p *markerParser) and(depth int) (bool, error) {
	v, err := p.atom(depth)
	for err == nil && p.word("and") {
		var w bool
		w, err = p.atom(depth)
		v = v && w
	}
	return v, err
}

func (p *markerParser) atom(depth int) (bool, error) {
	if depth > 100 {
		return false, errors.New("nested too deep")
	}
	if p.word("(") {
		v, err := p.or(depth + 1)
		if err == nil && !p.word(")") {
			err = errors.New("a parenthesis is not closed")
		}
		return v, err
	}
	l, err := p.operand()
	if err != nil {
		return false, err
	}
	if p.i >= len(p.toks) {
		return false, errors.New("a comparison is not complete")
	}
	op := p.toks[p.i].text
	p.i++
	if op == "not" && p.word("in") {
		op = "not in"
	}
	r, err := p.operand()
	if err != nil {
		return false, err
	}
	return p.compare(l, op, r)
}

func (p *markerParser) operand() (markerToken, error) {
	if p.i >= len(p.toks) {
		return markerToken{}, errors.New("a comparison is not complete")
	}
	t := p.toks[p.i]
	p.i++
	return t, nil
}

func (p *markerParser) compare(l markerToken, op string, r markerToken) (bool, error) {
	if !r.quoted && (r.text == "extras" || r.text == "dependency_groups") {
		set := p.env.Extras
		if r.text == "dependency_groups" {
			set = p.env.Groups
		}
		has := slices.Contains(set, Normalize(l.text))
		switch op {
		case "in":
			return has, nil
		case "not in":
			return !has, nil
		}
		return false, fmt.Errorf("%s allows only in and not in", r.text)
	}
	lv, err := p.value(l)
	if err != nil {
		return false, err
	}
	rv, err := p.value(r)
	if err != nil {
		return false, err
	}
	if l.text == "extra" && !l.quoted || r.text == "extra" && !r.quoted {
		return p.extra(l, op, r)
	}
	return compareMarker(lv, op, rv)
}

// extra compares the variable extra, which stands for each of the wanted extras.
func (p *markerParser) extra(l markerToken, op string, r markerToken) (bool, error) {
	name := r.text
	if r.text == "extra" && !r.quoted {
		name = l.text
	}
	has := slices.Contains(p.env.Extras, Normalize(name))
	switch op {
	case "==":
		return has, nil
	case "!=":
		return !has, nil
	}
	return false, fmt.Errorf("extra allows only == and !=")
}

func (p *markerParser) value(t markerToken) (string, error) {
	if t.quoted {
		return t.text, nil
	}
	name := t.text
	if old := map[string]string{"os.name": "os_name", "sys.platform": "sys_platform", "platform.version": "platform_version",
		"platform.machine": "platform_machine", "platform.python_implementation": "platform_python_implementation",
		"python_implementation": "platform_python_implementation"}[name]; old != "" {
		name = old
	}
	v, ok := p.env.Vars[name]
	if !ok {
		return "", fmt.Errorf("unknown variable %q", t.text)
	}
	return v, nil
}

func compareMarker(l, op, r string) (bool, error) {
	switch op {
	case "in":
		return strings.Contains(r, l), nil
	case "not in":
		return !strings.Contains(r, l), nil
	}
	if !slices.Contains(operators, op) {
		return false, fmt.Errorf("unknown operator %q", op)
	}
	if spec, err := ParseSpecifier(op + r); err == nil && len(spec) == 1 {
		if v, err := ParseVersion(l); err == nil {
			return spec.Allows(v), nil
		}
	}
	switch op {
	case "==", "===":
		return l == r, nil
	case "!=":
		return l != r, nil
	case "<":
		return l < r, nil
	case "<=":
		return l <= r, nil
	case ">":
		return l > r, nil
	case ">=":
		return l >= r, nil
	}
	return false, fmt.Errorf("%s needs versions: %q and %q", op, l, r)
}
