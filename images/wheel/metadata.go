package wheel

import (
	"fmt"
	"strings"
)

// Metadata is what METADATA, PKG-INFO or WHEEL say, header lines alone. Names are in lower case.
type Metadata struct{ fields map[string][]string }

// maxHeaders bounds the header lines that are kept.
const maxHeaders = 100_000

// ParseMetadata reads headers as in an e-mail up to the first empty line; continuation lines are
// joined. Lines that are no headers are passed over.
func ParseMetadata(b []byte) Metadata {
	m := Metadata{map[string][]string{}}
	last, n := "", 0
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || n >= maxHeaders {
			break
		}
		n++
		if line[0] == ' ' || line[0] == '\t' {
			if v := m.fields[last]; len(v) > 0 {
				v[len(v)-1] += "\n" + strings.TrimSpace(line)
			}
			continue
		}
		k, v, ok := strings.Cut(line, ":")
		if last = ""; ok {
			last = strings.ToLower(strings.TrimSpace(k))
			m.fields[last] = append(m.fields[last], strings.TrimSpace(v))
		}
	}
	return m
}

// Get is the first value of a field, or "".
func (m Metadata) Get(field string) string {
	if v := m.fields[strings.ToLower(field)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// All is every value of a field.
func (m Metadata) All(field string) []string { return m.fields[strings.ToLower(field)] }

// NameVersion is the project and the version, checked.
func (m Metadata) NameVersion() (name, version string, err error) {
	name, version = m.Get("Name"), m.Get("Version")
	if !ValidName(name) {
		return "", "", fmt.Errorf("not a project name: %q", name)
	}
	if _, err := ParseVersion(version); err != nil {
		return "", "", fmt.Errorf("%s: %w", name, err)
	}
	return name, version, nil
}
