package envfile

import (
	"slices"
	"strings"
	"sync"
)

// valueType is what TOML value a key takes.
type valueType int

const (
	typeAny      valueType = iota
	typeText               // a string
	typeInt                // a whole number of at least 1
	typeBool               // true or false
	typeNumber             // a number above zero
	typeSize               // a string that ParseSize reads
	typeDuration           // a string that ParseDuration reads
	typeDate               // a day or a time, as TOML's own or as a string
	typeMode               // permission bits, 0o755 or "0755"
	typeList               // a list of strings
	typeCommand            // a string or a list of strings
	typeSdist              // "deny", "allow", or a list of names
	typeTable              // a table
	typeTables             // an array of tables
)

// keyDef is one row of the table of keys: the one place that knows what may be written.
type keyDef struct {
	path     string // "mounts.NAME.to"; NAME stands for any name, [] for each table of an array
	typ      valueType
	flags    string // of L, E, P, H; "" takes the table's
	def      string // the default, as it would be written
	doc      string
	values   []string           // the only words allowed, "" if any
	check    func(string) error // of the string, or of each string of a list
	name     func(string) error // of a table with NAME below it: what a name may be
	names    []string           // the only names allowed
	required bool
	lines    bool   // may hold newlines
	like     string // has the keys of another table, too
	secret   bool   // the value is never shown

	later []string // values that this version of the tool does not carry out: see [File.Unsupported]
	idle  bool     // this version has no use for it yet, and the result is the same without
}

// anyValue as later is every value but the default.
func anyValue() []string { return []string{"*"} }

// keySpec is the table of keys as a tree.
type keySpec struct {
	keyDef
	kids   map[string]*keySpec
	order  []string // of kids, as in the table
	any    *keySpec // below NAME
	denied string   // why the key may not stand here
}

// step goes to one component of a path, making it if need be.
func (k *keySpec) step(part string) *keySpec {
	if part == "NAME" || part == "[]" {
		if k.any == nil {
			k.any = &keySpec{}
			if part == "[]" {
				k.any.typ = typeTable
			}
		}
		return k.any
	}
	kid := k.kids[part]
	if kid == nil {
		kid = &keySpec{}
		if k.kids == nil {
			k.kids = map[string]*keySpec{}
		}
		k.kids[part] = kid
		k.order = append(k.order, part)
	}
	return kid
}

func splitPath(path string) []string {
	return strings.Split(strings.ReplaceAll(path, "[]", ".[]"), ".")
}

// buildSpec makes the tree. Every like must name a table that stands earlier, or one of base.
func buildSpec(rows []keyDef, base *keySpec) *keySpec {
	root := &keySpec{keyDef: keyDef{typ: typeTable}}
	for _, row := range rows {
		at := root
		for _, part := range splitPath(row.path) {
			up := at
			at = at.step(part)
			if at.path == "" && row.flags == "" {
				at.flags = up.flags
			}
		}
		flags := at.flags
		at.keyDef = row
		if row.flags == "" {
			at.flags = flags
		}
		if row.like != "" {
			from := base
			if from == nil {
				from = root
			}
			copyKeys(at, from.find(row.like))
		}
	}
	return root
}

func copyKeys(to, from *keySpec) {
	if to.typ == typeAny {
		to.typ = from.typ
	}
	to.any, to.name, to.names = from.any, from.name, from.names
	for _, name := range from.order {
		*to.step(name) = *from.kids[name]
	}
}

// find goes to a path of the table; nil if there is none.
func (k *keySpec) find(path string) *keySpec {
	for _, part := range splitPath(path) {
		switch {
		case k == nil:
			return nil
		case part == "NAME" || part == "[]":
			k = k.any
		default:
			k = k.kids[part]
		}
	}
	return k
}

// fileSpec is what sandbox.toml may hold.
var fileSpec = sync.OnceValue(func() *keySpec {
	root := buildSpec(projectKeys(), nil)
	profile := &root.step("profile").any
	changes := root.only(mayProfile, "cannot be changed by a profile")
	for _, row := range profileKeys() {
		changes.step(row.path).keyDef = row
	}
	*changes.step("add") = *root.additions()
	changes.keyDef = (*profile).keyDef
	*profile = changes
	root.step("bind").denied = "belongs in sandbox.local.toml: a committed file does not know the machine"
	return root
})

// localSpec is what sandbox.local.toml may hold, and the command line may set.
var localSpec = sync.OnceValue(func() *keySpec {
	root := fileSpec()
	local := root.only(mayProfile, "belongs in sandbox.toml") // bind is replaced below
	*local.step("add") = *root.additions()
	for name, kid := range buildSpec(bindKeys(), nil).kids {
		*local.step(name) = *kid
	}
	return local
})

// userSpec is what the user's configuration may hold.
var userSpec = sync.OnceValue(func() *keySpec {
	root := buildSpec(append(userKeys(), bindKeys()...), fileSpec())
	return root
})

func mayProfile(k *keySpec) bool { return strings.Contains(k.flags, "P") }

// additions is what may stand below add.
func (k *keySpec) additions() *keySpec {
	list := func(k *keySpec) bool {
		return mayProfile(k) && (k.typ == typeList || k.typ == typeTables || k.typ == typeSdist)
	}
	out := k.only(list, "cannot be added to, for it is no list that a profile may change")
	out.doc = "appends to lists instead of replacing them"
	return out
}

// only gives a copy in which the keys that ok refuses are denied. A table is denied as a whole if
// every key in it is.
func (k *keySpec) only(ok func(*keySpec) bool, why string) *keySpec {
	out := *k
	leaf := k.typ != typeTable
	if leaf {
		if !ok(k) {
			out.denied = why
		}
		return &out
	}
	if len(k.kids) == 0 && k.any == nil {
		if !ok(k) {
			out.denied = why
		}
		return &out
	}
	out.kids, out.order, out.denied = map[string]*keySpec{}, slices.Clone(k.order), why
	for name, kid := range k.kids {
		out.kids[name] = kid.only(ok, why)
		if kid.path == "profile" {
			out.kids[name].denied = why
		}
		if out.kids[name].denied == "" {
			out.denied = ""
		}
	}
	if k.any != nil {
		out.any = k.any.only(ok, why)
		if out.any.denied == "" {
			out.denied = ""
		}
	}
	return &out
}
