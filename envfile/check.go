package envfile

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/internal/near"
)

// checker compares a tree with the table of keys and collects every problem.
type checker struct {
	problems []placed
}

// maxNames is how many tasks, mounts or variables one table may have: some checks compare all with
// all.
const maxNames = 1000

// placed is a problem with what sorts it: several files may take part.
type placed struct {
	Problem
	off int
}

// fail adds a problem at the key or the value of n.
func (c *checker) fail(n *keyNode, at span, hint, format string, args ...any) {
	if c.full() {
		return
	}
	c.problems = append(c.problems, placed{n.src.problem(at, hint, format, args...), at.start})
}

// full reports whether there are enough problems. The loops end then: each costs a look for the
// nearest name, and a hostile file could hold a hundred thousand.
func (c *checker) full() bool { return len(c.problems) > maxProblems }

// mask hides the value in the problems from number first on: it may be a secret.
func (c *checker) mask(first int) {
	for i := first; i < len(c.problems); i++ {
		p := &c.problems[i].Problem
		key, _, ok := strings.Cut(p.Line, "=")
		switch {
		case ok:
			p.Line = key + "= …"
			p.Col = min(p.Col, len([]rune(p.Line)))
			p.Len = 1
		case !strings.HasPrefix(strings.TrimSpace(key), "["):
			p.Line = ""
		}
	}
}

// err gives the problems in the order of the file.
func (c *checker) err() error {
	if len(c.problems) == 0 {
		return nil
	}
	rank := map[string]int{} // files in the order in which they were read
	for _, p := range c.problems {
		if _, ok := rank[p.File]; !ok {
			rank[p.File] = len(rank)
		}
	}
	sort.SliceStable(c.problems, func(i, j int) bool {
		a, b := c.problems[i], c.problems[j]
		if a.File != b.File {
			return rank[a.File] < rank[b.File]
		}
		return a.off < b.off
	})
	var out Problems
	for i, p := range c.problems {
		if i == maxProblems {
			return append(out, Problem{Msg: "and more problems"})
		}
		out = append(out, p.Problem)
	}
	return out
}

// value checks one node against its row.
func (c *checker) value(n *keyNode, sp *keySpec, path []string) {
	if sp.secret {
		defer c.mask(len(c.problems))
	}
	if sp.denied != "" {
		c.fail(n, n.key, "", "%s %s", keyName(path...), sp.denied)
		return
	}
	switch sp.typ {
	case typeAny:
		c.anything(n, path)
	case typeTable:
		c.table(n, sp, path)
	case typeTables:
		c.tables(n, sp, path)
	case typeList:
		c.list(n, sp, path)
	case typeCommand:
		c.command(n, sp, path)
	case typeSdist:
		if n.isList {
			c.list(n, sp, path)
		} else if s, ok := n.value.(string); !ok || s != "deny" && s != "allow" {
			c.fail(n, n.val, "", `%s wants "deny", "allow" or a list of names%s`, keyName(path...), instead(n))
		}
	default:
		c.scalar(n, sp, path)
	}
}

// wanted says in words what a type takes.
func wanted(t valueType) string {
	return map[valueType]string{
		typeText: "a string", typeInt: "a whole number", typeBool: "true or false", typeNumber: "a number",
		typeSize: `a size, such as "16GiB"`, typeDuration: `a duration, such as "10m"`,
		typeDate: "a date, such as 2024-09-01", typeMode: `permission bits, such as "0755"`,
		typeList: "a list of strings", typeCommand: "a string or a list of strings",
		typeTable: "a table", typeTables: "an array of tables",
	}[t]
}

// instead says in words what a node is, to go behind what it should be.
func instead(n *keyNode) string {
	kind := ""
	switch v := n.value.(type) {
	case string:
		return ": " + quote(v)
	case int64, float64, bool, time.Time:
		return ": " + quoteRaw(n)
	}
	switch {
	case n.isTable:
		kind = ", not a table"
	case n.isList:
		kind = ", not a list"
	}
	return kind
}

func quoteRaw(n *keyNode) string {
	if raw := n.raw(); raw != "" {
		return printable(raw)
	}
	return fmt.Sprint(n.value)
}

// mistyped reports a value of another type, and how to write it if that is plain.
func (c *checker) mistyped(n *keyNode, sp *keySpec, path []string) {
	advice := ""
	switch v := n.value.(type) {
	case string:
		switch {
		case sp.typ == typeList:
			advice = "write [" + quote(v) + "]"
		case sp.typ == typeBool && (v == "true" || v == "false"), sp.typ == typeInt && isPort(v):
			advice = "write " + v + " without quotes"
		}
	case int64, float64, bool, time.Time:
		// 3.10 is a number, and the same as 3.1.
		if sp.typ == typeText {
			advice = "write " + quote(quoteRaw(n))
		}
	}
	header := strings.Trim(keyName(path...), "`")
	switch {
	case n.isTable && sp.typ == typeTables:
		advice = "write [[" + header + "]]"
	case n.isList && sp.typ == typeTable && len(n.list) > 0 && n.list[0].isTable:
		advice = "write [" + header + "]"
	}
	if sp.secret {
		advice = ""
		if sp.typ == typeTable && len(sp.order) > 0 {
			advice = "write { " + sp.order[0] + " = … }"
		}
		c.fail(n, n.val, advice, "%s wants %s", keyName(path...), wanted(sp.typ))
		return
	}
	c.fail(n, n.val, advice, "%s wants %s%s", keyName(path...), wanted(sp.typ), instead(n))
}

func (c *checker) table(n *keyNode, sp *keySpec, path []string) {
	if !n.isTable {
		c.mistyped(n, sp, path)
		return
	}
	if len(n.kids) > maxNames {
		what := "the file"
		if len(path) > 0 {
			what = keyName(path...)
		}
		c.fail(n, n.key, "", "%s has more than %d keys", what, maxNames)
		return
	}
	for _, name := range n.names() {
		if c.full() {
			return
		}
		kid, sub := n.kids[name], append(path[:len(path):len(path)], name)
		row := sp.kids[name]
		if row == nil && sp.any != nil {
			if sp.names != nil && !slices.Contains(sp.names, name) {
				c.unknown(kid, sp, sub)
				continue
			}
			if sp.name != nil {
				if err := sp.name(name); err != nil {
					c.fail(kid, kid.key, firstHint(err), "%s %v", keyName(sub...), err)
					continue
				}
			}
			row = sp.any
		}
		if row == nil {
			c.unknown(kid, sp, sub)
			continue
		}
		c.value(kid, row, sub)
	}
}

func firstHint(err error) string {
	if hints := hint.Of(err); len(hints) > 0 {
		return hints[0]
	}
	return ""
}

// unknown names the nearest key of the table, else a key of that name elsewhere.
func (c *checker) unknown(n *keyNode, sp *keySpec, path []string) {
	name := path[len(path)-1]
	known := append([]string(nil), sp.names...)
	for k, row := range sp.kids {
		if row.denied == "" {
			known = append(known, k)
		}
	}
	advice := ""
	if best := near.Word(name, known); best != "" {
		advice = "did you mean " + keyName(best)
	} else if far := elsewhere(name); far != "" {
		advice = "did you mean " + keyName(strings.Split(far, ".")...)
	} else if len(sp.names) > 0 {
		advice = "known are " + strings.Join(sp.names, ", ")
	}
	c.fail(n, n.key, advice, "unknown key %s", keyName(path...))
}

// elsewhere finds the one key of sandbox.toml that has this last name.
func elsewhere(name string) string {
	found := ""
	for _, row := range projectKeys() {
		if !strings.HasSuffix(row.path, "."+name) || strings.Contains(row.path, "NAME") || strings.Contains(row.path, "[]") {
			continue
		}
		if found != "" {
			return ""
		}
		found = row.path
	}
	return found
}

func (c *checker) tables(n *keyNode, sp *keySpec, path []string) {
	if !n.isList || slices.ContainsFunc(n.list, func(e *keyNode) bool { return !e.isTable }) {
		c.mistyped(n, sp, path)
		return
	}
	for i, e := range n.list {
		if c.full() {
			return
		}
		at := append(path[:len(path):len(path)], strconv.Itoa(i))
		c.table(e, sp.any, at[:len(at)-1])
		c.required(e, sp.any, at[:len(at)-1])
	}
}

// required reports the keys that a table must have and has not.
func (c *checker) required(n *keyNode, sp *keySpec, path []string) {
	for _, name := range sp.order {
		if sp.kids[name].required && n.kids[name] == nil {
			c.fail(n, n.key, "", "%s is missing", keyName(append(path[:len(path):len(path)], name)...))
		}
	}
}

func (c *checker) list(n *keyNode, sp *keySpec, path []string) {
	if !n.isList {
		c.mistyped(n, sp, path)
		return
	}
	seen := map[string]bool{}
	for _, e := range n.list {
		if c.full() {
			return
		}
		s, ok := e.value.(string)
		if !ok {
			advice := ""
			value := ""
			if e.value != nil && !sp.secret {
				advice, value = "write "+quote(quoteRaw(e)), instead(e)
			}
			c.fail(e, e.val, advice, "%s wants a list of strings, with none of another type%s", keyName(path...), value)
			continue
		}
		if seen[s] && !sp.secret {
			c.fail(e, e.val, "", "%s has this twice: %s", keyName(path...), quote(s))
			continue
		}
		seen[s] = true
		c.text(e, s, sp, path)
	}
}

func (c *checker) command(n *keyNode, sp *keySpec, path []string) {
	if s, ok := n.value.(string); ok {
		if strings.TrimSpace(s) == "" {
			c.fail(n, n.val, "", "%s wants a command, not an empty string", keyName(path...))
		}
		c.text(n, s, sp, path)
		return
	}
	if !n.isList {
		c.mistyped(n, sp, path)
		return
	}
	for _, e := range n.list {
		if c.full() {
			return
		}
		s, ok := e.value.(string)
		if !ok {
			c.fail(e, e.val, "write "+quote(quoteRaw(e)), "%s wants a list of strings, with none of another type%s", keyName(path...), instead(e))
			continue
		}
		c.text(e, s, sp, path)
	}
	if len(n.list) == 0 || n.list[0].value == "" {
		c.fail(n, n.val, "", "%s wants a program as the first of the list", keyName(path...))
	}
}

// text checks one string. Control characters go to terminals, scripts and other files' lines, where
// they mean something.
func (c *checker) text(n *keyNode, s string, sp *keySpec, path []string) {
	bad := strings.IndexFunc(s, func(r rune) bool {
		return unicode.IsControl(r) && r != '\t' && (r != '\n' || !sp.lines) || r == 0
	})
	if bad >= 0 {
		value := ": " + quote(s)
		if sp.secret {
			value = ""
		}
		c.fail(n, n.val, "", "%s wants text without control characters%s", keyName(path...), value)
		return
	}
	if sp.values != nil && !slices.Contains(sp.values, s) {
		advice := ""
		if best := near.Word(s, sp.values); best != "" {
			advice = "did you mean " + quote(best)
		}
		c.fail(n, n.val, advice, "%s wants %s: %s", keyName(path...), oneOf(sp.values), quote(s))
		return
	}
	if sp.check == nil {
		return
	}
	if err := sp.check(s); err != nil {
		value := ": " + quote(s)
		if sp.secret || strings.Contains(s, "://") && strings.Contains(s, "@") {
			defer c.mask(len(c.problems))
			value = ""
		}
		c.fail(n, n.val, firstHint(err), "%s %v%s", keyName(path...), err, value)
	}
}

func oneOf(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return "one of " + strings.Join(quoted, ", ")
}
