package envfile

import (
	"slices"
	"strconv"
	"strings"
)

// Unsupported gives an error, as Problems, for every value of the merged file that needs what this version
// of the tool does not have, each with its place: leaving one out would give another result than the
// file asks for. The table of keys says which. It is nil for a File made by hand.
func (f *File) Unsupported() error {
	if f.tree == nil {
		return nil
	}
	var c checker
	c.unsupported(f.tree, fileSpec(), nil)
	return c.err()
}

func (c *checker) unsupported(n *keyNode, sp *keySpec, path []string) {
	if n == nil || sp == nil || sp.typ == typeAny || c.full() {
		return
	}
	if sp.later != nil && c.isLater(n, sp, path) {
		return
	}
	switch {
	case n.isTable:
		for _, name := range n.names() {
			row := sp.kids[name]
			if row == nil {
				row = sp.any
			}
			c.unsupported(n.kids[name], row, append(path[:len(path):len(path)], name))
		}
	case sp.typ == typeTables:
		for _, e := range n.list {
			c.unsupported(e, sp.any, path)
		}
	}
}

const notHere = "is not supported by this version"

// isLater reports what of a value this version does not have.
func (c *checker) isLater(n *keyNode, sp *keySpec, path []string) bool {
	if sp.secret {
		defer c.mask(len(c.problems))
	}
	name := strings.Trim(keyName(path...), "`")
	s, isText := n.value.(string)
	switch {
	case isText && sp.isDefault(s), n.isList && len(n.list) == 0, n.isTable && len(n.kids) == 0 && sp.any != nil:
		return false
	case n.isTable:
		c.fail(n, n.key, "", "[%s] %s", name, notHere)
	case n.isList && sp.values != nil:
		for _, e := range n.list {
			if v, _ := e.value.(string); slices.Contains(sp.later, v) {
				c.fail(e, e.val, sp.others(), "`%s = [%s]` %s", name, quote(v), notHere)
			}
		}
	case !isText || sp.values == nil && sp.def == "":
		c.fail(n, n.key, "", "`%s` %s", name, notHere)
	case sp.isLater(s):
		c.fail(n, n.val, sp.others(), "`%s = %s` %s", name, quote(s), notHere)
	}
	return true
}

func (k *keySpec) isDefault(s string) bool { return k.def == strconv.Quote(s) }

// isLater tells whether this version lacks a value.
func (k *keySpec) isLater(s string) bool {
	return !k.isDefault(s) && (slices.Contains(k.later, s) || slices.Equal(k.later, anyValue()))
}

// others is a hint that lists the values that this version has.
func (k *keySpec) others() string {
	var have []string
	for _, v := range k.values {
		if !k.isLater(v) {
			have = append(have, quote(v))
		}
	}
	if len(have) == 0 {
		return ""
	}
	return "this version has " + andList(have)
}
