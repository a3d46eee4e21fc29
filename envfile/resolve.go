package envfile

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/internal/near"
)

// ResolveOptions is what a Document is merged with, in this order: profiles whose condition holds,
// Profiles, Local, Overrides. User gives what no project can: bindings, caps, site things.
type ResolveOptions struct {
	Profiles []string        // --profile, in order
	When     map[string]bool // conditions that hold on this machine: "no-gpu"
	Local    *Document       // sandbox.local.toml, from ParseLocal
	User     *UserConfig
	// Overrides are what the command line says: keys as a profile may change them, and bind.*, to
	// values of type string, bool, int, float64, []string, map[string]string or map[string]any. Like a
	// profile's, they may start with "add.". They need no consent.
	Overrides map[string]any
}

// Resolve merges the document with what this run adds and gives the File, with every default filled
// in and every reference from one part to another checked. Its error is Problems. The document is not
// changed.
func (d *Document) Resolve(o ResolveOptions) (*File, error) {
	var c checker
	applied := d.applied(&c, o)
	over := c.overrides(o.Overrides)
	if err := c.err(); err != nil {
		return nil, err
	}
	tree := d.root.without("profile")
	locked := tree // with what the lock has a section for, and nothing else
	var locking []string
	for _, name := range applied {
		p := d.root.get("profile", name)
		tree = tree.profiled(p)
		if changesLock(p, fileSpec(), false) {
			locking = append(locking, name)
			locked = locked.profiled(p)
		}
	}
	own := []*keyNode{over}
	if o.Local != nil {
		own = []*keyNode{o.Local.root, over}
	}
	bind, ownLock := (*keyNode)(nil), false
	for _, layer := range own {
		ownLock = ownLock || changesLock(layer, fileSpec(), false)
		tree = tree.profiled(layer)
		bind = bind.merged(layer.get("bind"))
	}
	tree = tree.without("bind")
	c.bindings(bind, d)
	c.whole(tree)
	if err := c.err(); err != nil {
		return nil, err
	}
	if ownLock {
		locked = tree
	}
	f := buildFile(tree)
	conf := ConfigOf(buildFile(locked))
	f.lockConfig = &conf
	f.Profiles, f.LockProfiles, f.LockOwn = applied, locking, ownLock
	f.Bind = buildBind(bind)
	o.User.apply(f)
	return f, nil
}

// profiled applies one profile, or the user's own file.
func (n *keyNode) profiled(p *keyNode) *keyNode {
	return n.merged(p.without("when", "add")).appended(p.get("add"))
}

// applied gives the profiles that take part: those whose condition holds, in the file's order, then
// the named ones.
func (d *Document) applied(c *checker, o ResolveOptions) []string {
	var out []string
	all := d.root.get("profile")
	for _, name := range all.names() {
		if when := all.get(name).str("when", ""); o.When[when] && when != "" && !slices.Contains(o.Profiles, name) {
			out = append(out, name)
		}
	}
	for _, name := range o.Profiles {
		switch {
		case slices.Contains(out, name):
		case all.get(name) != nil:
			out = append(out, name)
		default:
			hint := "it has none"
			if best := near.Word(name, all.names()); best != "" {
				hint = "did you mean " + quote(best)
			} else if names := all.names(); len(names) > 0 {
				hint = "it has " + strings.Join(names, ", ")
			}
			c.problems = append(c.problems, placed{Problem: Problem{
				Pos: Pos{File: d.src.name}, Msg: "no profile is called " + quote(name), Hint: hint,
			}})
		}
	}
	return out
}

// changesLock reports whether a profile sets a key marked L.
func changesLock(n *keyNode, sp *keySpec, locked bool) bool {
	locked = locked || strings.Contains(sp.flags, "L")
	if !n.isTable || sp.typ == typeAny {
		return locked
	}
	for name, kid := range n.kids {
		row := sp.kids[name]
		switch {
		case name == "add" && row == nil:
			row = sp
		case row == nil:
			row = sp.any
		}
		if row != nil && changesLock(kid, row, locked) {
			return true
		}
	}
	return false
}

// overrides makes a tree of what the command line says, and checks it as a local file is.
func (c *checker) overrides(set map[string]any) *keyNode {
	src := &source{name: "command line", own: true}
	root := newTable(src, span{})
	keys := make([]string, 0, len(set))
	for key := range set {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		at := root
		parts := strings.Split(key, ".")
		for _, part := range parts[:len(parts)-1] {
			if at.kids[part] == nil || !at.kids[part].isTable {
				at.kids[part] = newTable(src, span{})
			}
			at = at.kids[part]
		}
		last := parts[len(parts)-1]
		at.kids[last] = at.kids[last].merged(treeOf(src, set[key]))
	}
	c.table(root, localSpec(), nil)
	return root
}

// treeOf turns Go values into nodes.
func treeOf(src *source, value any) *keyNode {
	n := &keyNode{src: src}
	switch v := value.(type) {
	case map[string]any:
		n.isTable, n.kids = true, map[string]*keyNode{}
		for name, x := range v {
			n.kids[name] = treeOf(src, x)
		}
	case map[string]string:
		n.isTable, n.kids = true, map[string]*keyNode{}
		for name, x := range v {
			n.kids[name] = treeOf(src, x)
		}
	case []string:
		n.isList = true
		for _, x := range v {
			n.list = append(n.list, treeOf(src, x))
		}
	case int:
		n.value = int64(v)
	case string, bool, int64, float64:
		n.value = v
	case fmt.Stringer: // Size, time.Duration
		n.value = v.String()
	}
	return n
}

// bindings refuses a binding in the project's local file of something that the project does not
// declare, in any of its profiles: it would be lost without a word. The user's configuration serves
// every project and is not held to that.
func (c *checker) bindings(bind *keyNode, d *Document) {
	for _, what := range []string{"mounts", "secrets"} {
		declared := d.declared(what)
		for _, name := range bind.get(what).names() {
			if slices.Contains(declared, name) {
				continue
			}
			hint := ""
			if best := near.Word(name, declared); best != "" {
				hint = "did you mean " + keyName(best)
			}
			n := bind.get(what, name)
			first := len(c.problems)
			c.fail(n, n.key, hint, "nothing to bind: the project declares no %s %s", strings.TrimSuffix(what, "s"), keyName(name))
			if what == "secrets" {
				c.mask(first)
			}
		}
		c.oneOfSecrets(bind.get(what), what)
	}
}

// oneOfSecrets checks that each secret has one source.
func (c *checker) oneOfSecrets(table *keyNode, what string) {
	if what != "secrets" {
		return
	}
	for _, name := range table.names() {
		if n := table.get(name); len(n.kids) != 1 {
			c.fail(n, n.key, "", "secret %s wants exactly one of `env`, `file`, `command`", keyName(name))
		}
	}
}

// declared gives the names of mounts or secrets anywhere in the file.
func (d *Document) declared(what string) []string {
	var out []string
	add := func(n *keyNode) {
		out = append(out, n.get(what).names()...)
		for _, group := range []string{"task", "service"} {
			for _, name := range n.get(group).names() {
				if t := n.get(group, name, what); t != nil && t.isTable {
					out = append(out, t.names()...)
				}
			}
		}
	}
	add(d.root)
	for _, name := range d.Profiles() {
		add(d.root.get("profile", name))
	}
	return out
}

// lowerOf gives the lower of two caps, where 0 is none.
func lowerOf[T int | float64 | Size | time.Duration](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
