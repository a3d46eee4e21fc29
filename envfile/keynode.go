package envfile

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// keyNode is one value of an env file with its place: the tree that is checked, merged and turned
// into a File. Nodes are never changed once a Document is made, so trees may share them.
type keyNode struct {
	src   *source
	key   span // of the key; of an element of a list, of the value
	val   span // of the value; of a table with a header, of the header
	value any  // string, int64, float64, bool, time.Time; nil for tables and lists

	isTable bool
	kids    map[string]*keyNode
	isList  bool
	list    []*keyNode
}

func newTable(src *source, at span) *keyNode {
	return &keyNode{src: src, key: at, val: at, isTable: true, kids: map[string]*keyNode{}}
}

// raw is the value as it is written, for scalars.
func (n *keyNode) raw() string {
	if n.src == nil || n.val.end > len(n.src.text) || n.val.start >= n.val.end {
		return ""
	}
	return n.src.text[n.val.start:n.val.end]
}

func (n *keyNode) pos() Pos { return n.src.pos(n.key.start) }

// names gives the keys of a table in the order of the file.
func (n *keyNode) names() []string {
	if n == nil {
		return nil
	}
	out := make([]string, 0, len(n.kids))
	for name := range n.kids {
		out = append(out, name)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := n.kids[out[i]], n.kids[out[j]]
		if a.src != b.src || a.key.start == b.key.start {
			return out[i] < out[j]
		}
		return a.key.start < b.key.start
	})
	return out
}

// get goes down by names, and by numbers in lists. It gives nil where there is nothing.
func (n *keyNode) get(path ...string) *keyNode {
	for _, part := range path {
		if n == nil {
			return nil
		}
		if n.isList {
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(n.list) {
				return nil
			}
			n = n.list[i]
			continue
		}
		n = n.kids[part]
	}
	return n
}

// near goes down as far as the path leads.
func (n *keyNode) near(path ...string) *keyNode {
	for _, part := range path {
		next := n.get(part)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

func (n *keyNode) str(key, def string) string {
	if k := n.get(key); k != nil {
		if s, ok := k.value.(string); ok {
			return s
		}
	}
	return def
}

func (n *keyNode) strs(key string) []string {
	k := n.get(key)
	if k == nil || !k.isList {
		return nil
	}
	out := make([]string, 0, len(k.list))
	for _, e := range k.list {
		if s, ok := e.value.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func (n *keyNode) strMap(key string) map[string]string {
	k := n.get(key)
	if k == nil || len(k.kids) == 0 {
		return nil
	}
	out := make(map[string]string, len(k.kids))
	for name, v := range k.kids {
		out[name], _ = v.value.(string)
	}
	return out
}

func (n *keyNode) flag(key string) bool {
	k := n.get(key)
	if k == nil {
		return false
	}
	b, _ := k.value.(bool)
	return b
}

func (n *keyNode) integer(key string, def int) int {
	if k := n.get(key); k != nil {
		if i, ok := k.value.(int64); ok {
			return int(i)
		}
	}
	return def
}

func (n *keyNode) number(key string) float64 {
	if k := n.get(key); k != nil {
		switch v := k.value.(type) {
		case int64:
			return float64(v)
		case float64:
			return v
		}
	}
	return 0
}

func (n *keyNode) size(key string) Size {
	s, _ := ParseSize(n.str(key, ""))
	return s
}

func (n *keyNode) duration(key string) string {
	text := n.str(key, "")
	if days := strings.HasSuffix(text, "d"); days {
		if d, err := ParseDuration(text); err == nil {
			return d.String()
		}
	}
	return text
}

func (n *keyNode) command(key string) Command {
	k := n.get(key)
	if k == nil {
		return Command{}
	}
	if k.isList {
		return Command{Args: n.strs(key)}
	}
	return Command{Shell: n.str(key, "")}
}

// plain gives the value without places, as a decoder would.
func (n *keyNode) plain() any {
	switch {
	case n == nil:
		return nil
	case n.isTable:
		out := make(map[string]any, len(n.kids))
		for name, k := range n.kids {
			out[name] = k.plain()
		}
		return out
	case n.isList:
		out := make([]any, 0, len(n.list))
		for _, e := range n.list {
			out = append(out, e.plain())
		}
		return out
	}
	if t, ok := n.value.(time.Time); ok {
		return dateText(n.raw(), t)
	}
	return n.value
}

// dateText writes a TOML date as RFC 3339 does: T and Z in capitals, no blank.
func dateText(raw string, t time.Time) string {
	if raw == "" {
		return t.Format(time.RFC3339)
	}
	return strings.NewReplacer(" ", "T", "t", "T", "z", "Z").Replace(raw)
}

// merged puts over on top of n: tables merge, all else replaces. Neither is changed.
func (n *keyNode) merged(over *keyNode) *keyNode {
	if n == nil {
		return over
	}
	if over == nil {
		return n
	}
	if !n.isTable || !over.isTable {
		return over
	}
	out := *n
	out.kids = make(map[string]*keyNode, len(n.kids)+len(over.kids))
	for name, k := range n.kids {
		out.kids[name] = k
	}
	for name, k := range over.kids {
		out.kids[name] = out.kids[name].merged(k)
	}
	return &out
}

// appended is merged for the tables below add: lists grow instead. What is there already is not
// put in twice.
func (n *keyNode) appended(add *keyNode) *keyNode {
	switch {
	case n == nil:
		return add
	case add == nil:
		return n
	case n.isList && add.isList:
		out := *n
		out.list = slices.Clone(n.list)
		have := map[any]bool{}
		for _, e := range n.list {
			have[e.value] = e.value != nil
		}
		for _, e := range add.list {
			if !have[e.value] {
				out.list = append(out.list, e)
			}
		}
		return &out
	case n.isTable && add.isTable:
		out := *n
		out.kids = make(map[string]*keyNode, len(n.kids)+len(add.kids))
		for name, k := range n.kids {
			out.kids[name] = k
		}
		for name, k := range add.kids {
			out.kids[name] = out.kids[name].appended(k)
		}
		return &out
	case n.value == "allow": // of python.sdist: nothing can be added to everything
		return n
	}
	return add
}

// without gives the table without some of its keys.
func (n *keyNode) without(names ...string) *keyNode {
	out := *n
	out.kids = make(map[string]*keyNode, len(n.kids))
	for name, k := range n.kids {
		if !slices.Contains(names, name) {
			out.kids[name] = k
		}
	}
	return &out
}
