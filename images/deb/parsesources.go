package deb

import (
	"fmt"
	"strings"
)

// ParseList reads the one-line form of apt sources, sources.list(5):
// "deb [signed-by=FILE trusted=yes] URI SUITE COMPONENT…". Lines for source packages are passed over.
func ParseList(text string) ([]Source, error) {
	var out []Source
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
		switch kind {
		case "", "deb-src":
			continue
		case "deb":
		default:
			return nil, fmt.Errorf("line %d: neither deb nor deb-src: %q", n, kind)
		}
		var s Source
		rest = strings.TrimSpace(rest)
		if after, ok := strings.CutPrefix(rest, "["); ok {
			opts, tail, closed := strings.Cut(after, "]")
			if !closed {
				return nil, fmt.Errorf("line %d: no ] after the options", n)
			}
			for o := range strings.FieldsSeq(opts) {
				k, v, _ := strings.Cut(o, "=")
				if err := s.option(k, strings.ReplaceAll(v, ",", " ")); err != nil {
					return nil, fmt.Errorf("line %d: %w", n, err)
				}
			}
			rest = tail
		}
		f := strings.Fields(rest)
		if len(f) < 2 {
			return nil, fmt.Errorf("line %d: no address or no suite", n)
		}
		s.URI, s.Suite, s.Components = strings.TrimRight(f[0], "/"), f[1], f[2:]
		if !s.flat() && len(s.Components) == 0 {
			return nil, fmt.Errorf("line %d: suite %s needs a component", n, s.Suite)
		}
		out = append(out, s)
	}
	return out, nil
}

// ParseSources reads the deb822 form of apt sources: paragraphs with Types, URIs, Suites and
// Components. Each combination gives one source.
func ParseSources(text string) ([]Source, error) {
	paras, err := parseControl(text)
	if err != nil {
		return nil, err
	}
	var out []Source
	for _, p := range paras {
		var s Source
		for field, option := range map[string]string{
			"signed-by": "signed-by", "trusted": "trusted", "architectures": "arch", "check-valid-until": "check-valid-until",
		} {
			if v, ok := p[field]; ok {
				if err := s.option(option, v); err != nil {
					return nil, err
				}
			}
		}
		types := strings.Fields(p["types"])
		uris, suites := strings.Fields(p["uris"]), strings.Fields(p["suites"])
		if len(types) == 0 || len(uris) == 0 || len(suites) == 0 {
			return nil, fmt.Errorf("a paragraph without Types, URIs or Suites")
		}
		if len(uris)*len(suites) > 10_000 {
			return nil, fmt.Errorf("too many sources in one paragraph")
		}
		if isNo(p["enabled"]) || !hasField(types, "deb") {
			continue
		}
		for _, u := range uris {
			for _, suite := range suites {
				t := s
				t.URI, t.Suite, t.Components = strings.TrimRight(u, "/"), suite, strings.Fields(p["components"])
				if t.Keyring = append([]string(nil), s.Keyring...); !t.flat() && len(t.Components) == 0 {
					return nil, fmt.Errorf("suite %s needs Components", suite)
				}
				out = append(out, t)
			}
		}
	}
	return out, nil
}

// option sets one option by its one-line name.
func (s *Source) option(name, value string) error {
	switch name {
	case "signed-by":
		if strings.Contains(value, "-----BEGIN PGP PUBLIC KEY BLOCK-----") {
			s.Keys = append(s.Keys, unfold(value))
			return nil
		}
		for f := range strings.FieldsSeq(value) {
			switch {
			case strings.HasPrefix(f, "/"):
				s.Keyring = append(s.Keyring, f)
			case isFingerprint(strings.TrimSuffix(f, "!")):
				s.Fingerprints = append(s.Fingerprints, strings.ToUpper(strings.TrimSuffix(f, "!")))
			default:
				return fmt.Errorf("signed-by: neither a file nor a fingerprint: %q", f)
			}
		}
	case "trusted":
		s.Trusted = isYes(value)
	case "arch":
		s.Archs = strings.Fields(value)
	case "check-valid-until":
		s.NoExpiry = isNo(value)
	}
	return nil // others (lang, pdiffs, by-hash …) do not matter to us
}

// unfold makes an armored key of a deb822 value, in which a line with a dot stands for an empty one.
func unfold(v string) string {
	lines := strings.Split(v, "\n")
	for i, l := range lines {
		if l = strings.TrimSpace(l); l == "." {
			l = ""
		}
		lines[i] = l
	}
	return strings.Join(lines, "\n") + "\n"
}

func isFingerprint(s string) bool {
	return len(s) >= 16 && len(s) <= 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

func isYes(v string) bool {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "yes", "true", "1", "on", "with", "enable":
		return true
	}
	return false
}

func isNo(v string) bool {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "no", "false", "0", "off", "without", "disable":
		return true
	}
	return false
}

func hasField(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}
