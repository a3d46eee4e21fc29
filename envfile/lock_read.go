package envfile

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxLock bounds what is read as a lock. One with ten thousand pins has some 4 MB.
const maxLock = 32 << 20

// ReadLock reads a lock; name is what errors call it. It takes only what [Lock.WriteTo] writes: a
// lock is an input to everything that is fetched and run, so a wrong type, a key that is not known, a
// bad digest, a name twice, or a section that does not match its digest is a [*LockError], and a lock
// of a newer format a [*NewerLockError].
func ReadLock(name string, src []byte) (*Lock, error) {
	if len(src) > maxLock {
		return nil, &LockError{Name: name, Why: fmt.Sprintf("larger than any lock: %d bytes", len(src))}
	}
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n")) // git may have changed the line ends
	if line := conflictLine(src); line > 0 {
		return nil, &LockError{Name: name, Line: line, Why: "conflict markers of a merge",
			Help: "take one side with `git checkout --theirs " + name + "`, then run `sandbox lock`"}
	}
	nodes, err := scanTOML(src)
	if err != nil {
		return nil, syntaxError(name, src, err)
	}
	var doc map[string]any
	if err := toml.Unmarshal(src, &doc); err != nil {
		return nil, syntaxError(name, src, err)
	}
	r := &lockReader{name: name, src: src, nodes: nodes}
	l := r.lock(lockNode{r: r, v: doc})
	if r.err != nil {
		return nil, r.err
	}
	return l, nil
}

func conflictLine(src []byte) int {
	for i, line := range bytes.Split(src, []byte("\n")) {
		for _, mark := range []string{"<<<<<<<", "=======", ">>>>>>>", "|||||||"} {
			if bytes.HasPrefix(line, []byte(mark)) {
				return i + 1
			}
		}
	}
	return 0
}

func syntaxError(name string, src []byte, err error) error {
	e := &LockError{Name: name, Why: "edited by hand: " + err.Error()}
	if pe, ok := errors.AsType[toml.ParseError](err); ok {
		why := strings.TrimSuffix(pe.Message, ".")
		e.Line, e.Why = pe.Position.Line, "edited by hand: "+strings.ToLower(why[:min(1, len(why))])+why[min(1, len(why)):]
	} else if n, rest, ok := strings.Cut(strings.TrimPrefix(err.Error(), "line "), ": "); ok {
		if _, scanErr := fmt.Sscan(n, &e.Line); scanErr == nil {
			e.Why = "edited by hand: " + rest
		}
	}
	if n := bytes.Count(src, []byte("\n")); e.Line > n+1 {
		e.Line = n + 1
	}
	return e
}

func (r *lockReader) lock(n lockNode) *Lock {
	l := &Lock{}
	top, ok := n.v.(map[string]any)
	if !ok || top["version"] == nil {
		r.fail(nil, "no version: this is not a lock")
		return nil
	}
	l.Version = int(n.at("version").num())
	l.Tool, _ = top["tool"].(string)
	if l.Version > LockVersion {
		r.newer(fmt.Sprintf("version %d, this one reads version %d", l.Version, LockVersion), l.Tool)
		return nil
	}
	if l.Version < 1 {
		r.fail([]string{"version"}, fmt.Sprintf("no such version of a lock: %d", l.Version))
	}
	l.Tool = n.at("tool").str(oneLine)
	l.LayerFormat = int(n.at("layer-format").num())
	if l.LayerFormat > LayerFormat {
		r.newer(fmt.Sprintf("layer-format %d, this one makes %d", l.LayerFormat, LayerFormat), l.Tool)
		return nil
	}
	l.Epoch = n.at("epoch").num()
	l.AsOfKept = n.at("as-of-kept").strs()
	l.Sections = map[string]*Section{}
	known := []string{"version", "tool", "layer-format", "epoch", "as-of-kept"}
	for _, name := range slices.Sorted(maps.Keys(top)) {
		if slices.Contains(known, name) {
			continue
		}
		if _, ok := top[name].(map[string]any); !ok || !sectionName(name) {
			r.fail([]string{name}, "unknown key: "+name)
			return nil
		}
		s := n.at(name).section()
		l.Sections[name] = s
		if r.err != nil {
			return nil
		}
		if said, _ := top[name].(map[string]any)["digest"].(string); said != l.Digest(name) {
			r.fail([]string{name, "digest"}, "edited by hand: section "+name+" does not match its digest")
		}
	}
	return l
}

// sectionName: "linux-amd64" or "linux-amd64+PROFILE".
func sectionName(s string) bool {
	os, arch, ok := strings.Cut(s, "-")
	return ok && os != "" && arch != "" && oneLine(s)
}

// newer believes what the lock says of its tool only where that is one which this tool is not.
func (r *lockReader) newer(what, tool string) {
	said, err := parseMinimum(">=" + tool)
	if own, _ := parseVersion(LockTool); err != nil || slices.Compare(said[:], own[:]) <= 0 {
		tool = ""
	}
	if r.err == nil {
		r.err = &NewerLockError{Name: r.name, What: what, Tool: tool}
	}
}
