package envfile

import (
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// lockReader keeps the first thing that is wrong: one clear error is worth more for a file that
// nobody edits than a list.
type lockReader struct {
	name  string
	src   []byte
	nodes []tomlNode
	err   error
}

func (r *lockReader) fail(path []string, why string) {
	if r.err == nil {
		r.err = &LockError{Name: r.name, Line: r.line(path), Why: why}
	}
}

// line is where path stands, or the nearest thing around it.
func (r *lockReader) line(path []string) int {
	for ; len(path) > 0; path = path[:len(path)-1] {
		for _, n := range r.nodes {
			if slices.Equal(n.path, path) {
				return lineOf(r.src, max(n.key.start, n.val.start))
			}
		}
	}
	return 0
}

// lockNode is one value with its place. v is nil for what is not there.
type lockNode struct {
	r    *lockReader
	path []string
	v    any
}

func (n lockNode) fail(why string) {
	what := "edited by hand: "
	if len(n.path) > 0 {
		what += strings.Join(n.path, ".") + ": "
	}
	n.r.fail(n.path, what+why)
}

func (n lockNode) sub(key string, v any) lockNode {
	return lockNode{n.r, append(slices.Clip(n.path), key), v}
}

func (n lockNode) at(key string) lockNode {
	m, _ := n.v.(map[string]any)
	return n.sub(key, m[key])
}

func (n lockNode) need() lockNode {
	if n.v == nil {
		n.fail("missing")
	}
	return n
}

// only refuses keys that are not among these.
func (n lockNode) only(keys ...string) {
	m, ok := n.v.(map[string]any)
	if n.v != nil && !ok {
		n.fail("a table was expected")
	}
	var unknown []string
	for k := range m {
		if !slices.Contains(keys, k) {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) > 0 {
		n.sub(slices.Min(unknown), nil).fail("unknown key")
	}
}

// table goes through the keys here in order, so that the first error is always the same one.
func (n lockNode) table() iter.Seq2[string, lockNode] {
	m, ok := n.v.(map[string]any)
	if n.v != nil && !ok {
		n.fail("a table was expected")
	}
	return func(yield func(string, lockNode) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, n.sub(k, m[k])) {
				return
			}
		}
	}
}

func (n lockNode) elems() []lockNode {
	var list []any
	switch v := n.v.(type) {
	case nil:
	case []map[string]any:
		for _, m := range v {
			list = append(list, m)
		}
	case []any:
		list = v
	default:
		n.fail("an array of tables was expected")
	}
	out := make([]lockNode, len(list))
	for i, v := range list {
		out[i] = n.sub(strconv.Itoa(i), v)
		if _, ok := v.(map[string]any); !ok {
			out[i].fail("a table was expected")
		}
	}
	return out
}

func (n lockNode) once(seen map[string]bool, kind, name string) {
	if seen[kind+" "+name] {
		n.fail(kind + " twice: " + name)
	}
	seen[kind+" "+name] = true
}

// str is the string here, "" if there is none. Strings are never written empty where they must pass
// valid, so an empty one is wrong as well.
func (n lockNode) str(valid func(string) bool) string {
	if n.v == nil {
		return ""
	}
	s, ok := n.v.(string)
	if !ok {
		n.fail("a string was expected")
	} else if !valid(s) {
		n.fail(fmt.Sprintf("not a valid value: %.100q", s))
	}
	return s
}

func (n lockNode) strs() []string {
	if n.v == nil {
		return nil
	}
	list, ok := n.v.([]any)
	if !ok {
		n.fail("an array of strings was expected")
	}
	var out []string
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			n.sub(strconv.Itoa(i), v).fail("a string was expected")
		}
		out = append(out, s)
	}
	return out
}

func (n lockNode) strMap() map[string]string {
	var out map[string]string
	for k, v := range n.table() {
		s, ok := v.v.(string)
		if !ok {
			v.fail("a string was expected")
		}
		if out == nil {
			out = map[string]string{}
		}
		out[k] = s
	}
	return out
}

func (n lockNode) num() int64 {
	if n.v == nil {
		n.need()
		return 0
	}
	v, ok := n.v.(int64)
	if !ok || v < 0 || v > math.MaxInt32 && n.path[len(n.path)-1] != "size" && n.path[len(n.path)-1] != "epoch" {
		n.fail("a whole number was expected")
		return 0
	}
	return v
}

func (n lockNode) size() int64 {
	if n.v == nil {
		return 0
	}
	return n.num()
}

func (n lockNode) boolean() bool {
	b, ok := n.v.(bool)
	if n.v != nil && !ok {
		n.fail("true or false was expected")
	}
	return b
}

func oneLine(s string) bool {
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return s != "" && len(s) < 4096
}

func isHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 32 && s == strings.ToLower(s)
}

func isDigest(s string) bool {
	h, ok := strings.CutPrefix(s, "sha256:")
	return ok && isHash(h)
}

func isFileName(s string) bool {
	return oneLine(s) && !strings.ContainsAny(s, `/\`) && s != "." && s != ".."
}

func isRelPath(s string) bool {
	return oneLine(s) && path.Clean(s) == s && s[0] != '/' && s != ".." && !strings.HasPrefix(s, "../")
}

func isAbsPath(s string) bool { return oneLine(s) && path.Clean(s) == s && s[0] == '/' }

func isDebName(s string) bool {
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789+-.", r) {
			return false
		}
	}
	return len(s) > 1 && len(s) < 200 && s[0] != '-' && s[0] != '.' && s[0] != '+'
}

func isDebVersion(s string) bool {
	return oneLine(s) && !strings.ContainsAny(s, " /\\\"'")
}

func isPythonName(s string) bool {
	return s != "" && len(s) < 200 && NormalName(s) == s && isDebStart(s)
}

func isDebStart(s string) bool {
	c := s[0]
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
}
