package envfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Schema is the version of the env file's format that this package reads.
const Schema = 1

const getNewer = "update with `go install github.com/4cc2e759/sandbox/cmd/...@latest`, or take a release from https://github.com/4cc2e759/sandbox/releases"

// VersionError is an env file that asks for a newer tool. Nothing else of the file was looked at:
// what a newer tool understands may look wrong to this one.
type VersionError struct {
	Problem Problem
	Want    string // what the file requires: ">=1.2", or "schema 2"
	Have    string // this tool's version; "" if the schema is what is too new
}

// Error says which version is wanted and which is there.
func (e *VersionError) Error() string { return e.Problem.Error() }

// Hint says how to get a newer tool.
func (e *VersionError) Hint() string { return getNewer }

// version is major, minor, patch.
type version [3]uint32

// parseVersion reads "1.2.3", "v1.2" and "1.2.0-rc1+g1234": what follows - or + says how it was built.
func parseVersion(s string) (v version, err error) {
	s = strings.TrimPrefix(s, "v")
	if i := strings.IndexAny(s, "-+"); i >= 0 {
		s = s[:i]
	}
	parts := strings.Split(s, ".")
	if len(parts) > len(v) {
		return v, errors.New("too many numbers")
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil || !all(p, isDigit) {
			return v, fmt.Errorf("not a number: %q", p)
		}
		v[i] = uint32(n)
	}
	return v, nil
}

// parseMinimum reads ">=1.2".
func parseMinimum(s string) (version, error) {
	rest, ok := strings.CutPrefix(s, ">=")
	rest = strings.TrimSpace(rest)
	if !ok || strings.ContainsAny(rest, "v-+") {
		return version{}, errors.New("wants >= and a version")
	}
	return parseVersion(rest)
}

// satisfies reports whether the tool's version is at least the minimum. A tool without a proper
// version was built by a developer and is taken to be newest.
func satisfies(have, minimum string) bool {
	want, err := parseMinimum(minimum)
	if err != nil {
		return true
	}
	v, err := parseVersion(have)
	if err != nil {
		return true
	}
	for i := range v {
		if v[i] != want[i] {
			return v[i] > want[i]
		}
	}
	return true
}

// tooNew checks schema and requires.
func tooNew(root *keyNode, have string) error {
	if n := root.get("schema"); n != nil {
		if i, ok := n.value.(int64); ok && i > Schema {
			p := n.src.problem(n.val, "", "this env file is of schema %d, this sandbox reads up to %d", i, Schema)
			return &VersionError{Problem: p, Want: fmt.Sprintf("schema %d", i)}
		}
	}
	n := root.get("requires")
	if n == nil || have == "" {
		return nil
	}
	if s, ok := n.value.(string); ok && !satisfies(have, s) {
		p := n.src.problem(n.val, "", "this env file requires sandbox %s, this is %s", printable(s), have)
		return &VersionError{Problem: p, Want: s, Have: have}
	}
	return nil
}
