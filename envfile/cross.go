package envfile

import (
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/internal/near"
)

// whole checks what needs the merged file: keys that must be there, names that one part uses and
// another defines, and places that two parts want.
func (c *checker) whole(n *keyNode) {
	c.image(n)
	c.mounts(n)
	c.steps(n)
	c.python(n)
	c.network(n.get("network"), n.get("network").str("mode", "host"), []string{"network"})
	c.gpu(n.get("gpu"), []string{"gpu"})
	c.secrets(n)
	for _, group := range []string{"task", "service"} {
		for _, name := range n.get(group).names() {
			c.task(n, n.get(group, name), []string{group, name})
		}
	}
	c.cycles(n.get("task"))
}

// missing reports a key at the table that should have it, or at the end of what there is.
func (c *checker) missing(n *keyNode, root *keyNode, hint string, path ...string) {
	if n == nil {
		n = root
	}
	if n == root {
		// The root begins where the file does; its first line is nobody's fault.
		c.problems = append(c.problems, placed{Problem: Problem{Pos: Pos{File: n.src.name}, Msg: keyName(path...) + " is missing", Hint: hint}, off: -1})
		return
	}
	c.fail(n, n.key, hint, "%s is missing", keyName(path...))
}

func (c *checker) image(n *keyNode) {
	img := n.get("image")
	base, docker := img.get("base"), img.get("dockerfile")
	switch {
	case base == nil && docker == nil:
		c.missing(img, n, `add base = "…" to [image]: a registry's image, or "deb:trixie"`, "image", "base")
	case base != nil && docker != nil:
		c.fail(docker, docker.key, "", "`image.dockerfile` and `image.base` exclude each other")
	}
	b, _ := ParseBase(img.str("base", ""))
	for _, key := range []string{"mirror", "keyring"} {
		if k := img.get(key); k != nil && b.Kind != BaseDeb {
			c.fail(k, k.key, "", "%s is for deb: bases only", keyName("image", key))
		}
	}
	for _, key := range []string{"args", "target"} {
		if k := img.get(key); k != nil && docker == nil {
			c.fail(k, k.key, "", "%s needs `image.dockerfile`", keyName("image", key))
		}
	}
}

// mountKeys are the keys that only one kind of mount takes.
func mountKeys() [][2]string {
	return [][2]string{{"from", "project"}, {"scope", "cache"}, {"size", "tmpfs"}}
}

func (c *checker) mounts(n *keyNode) {
	used := c.taken(n)
	c.mountTable(n.get("mounts"), nil, []string{"mounts"}, used)
}

// taken gives the places that are in use before any mount: the project and what is fetched.
func (c *checker) taken(n *keyNode) map[string]string {
	used := map[string]string{n.get("project").str("at", "/workspace"): "the project"}
	for _, e := range n.get("fetch").elems() {
		to := e.str("to", "")
		if other := used[to]; other != "" {
			c.fail(e.get("to"), e.get("to").val, "", "`fetch.to` is where %s is mounted: %s", other, quote(to))
		}
		used[to] = "another file"
	}
	return used
}

// mountTable checks all mounts of one table and reports those that are in only; nil is all.
func (c *checker) mountTable(n, only *keyNode, path []string, used map[string]string) {
	row := fileSpec().find("mounts.NAME")
	for _, name := range n.names() {
		m, sub := n.get(name), append(path[:len(path):len(path)], name)
		to := m.str("to", "")
		other := used[to]
		used[to] = "mount " + keyName(name)
		if only != nil && only.get(name) == nil {
			continue
		}
		c.required(m, row, sub)
		kind := m.str("kind", "")
		for _, k := range mountKeys() {
			if at := m.get(k[0]); at != nil && kind != "" && kind != k[1] {
				c.fail(at, at.key, "", "%s is for kind %s only, this is of kind %s", keyName(append(sub, k[0])...), k[1], kind)
			}
		}
		if kind == "project" && m.get("from") == nil {
			c.fail(m, m.key, "", "%s is missing", keyName(append(sub, "from")...))
		}
		if at := m.get("mode"); at != nil && kind == "tmpfs" && at.value == "ro" {
			c.fail(at, at.key, "", "%s would be empty for ever: a tmpfs has to be writable", keyName(sub...))
		}
		if at := m.get("to"); at != nil && other != "" {
			c.fail(at, at.val, "", "%s is where %s is mounted: %s", keyName(append(sub, "to")...), other, quote(to))
		}
	}
}

func (c *checker) steps(n *keyNode) {
	for _, e := range n.get("step").elems() {
		inProject := e.str("where", "image") == "project"
		out := e.get("outputs")
		switch {
		case inProject && (out == nil || len(out.list) == 0):
			c.fail(e, e.key, "", "`step.outputs` is missing: a step with where = \"project\" is kept by what it makes")
		case !inProject && out != nil:
			c.fail(out, out.key, `add where = "project"`, "`step.outputs` is for steps with where = \"project\" only")
		}
		c.declaredSecrets(n, e.get("secrets"), []string{"step", "secrets"}, "build")
	}
}

// declaredSecrets checks a list of names of secrets.
func (c *checker) declaredSecrets(root, list *keyNode, path []string, scope string) {
	known := root.get("secrets").names()
	for _, e := range list.elems() {
		name, _ := e.value.(string)
		s := root.get("secrets", name)
		if s == nil {
			c.undeclared(e, path, "secret", "[secrets]", name, known)
		} else if have := s.str("scope", "run"); have != scope {
			c.fail(e, e.val, "", "%s wants a secret of scope %s, %s is of scope %s", keyName(path...), scope, keyName(name), have)
		}
	}
}

func (c *checker) undeclared(n *keyNode, path []string, what, table, name string, known []string) {
	if c.full() {
		return
	}
	hint := ""
	if best := near.Word(name, known); best != "" {
		hint = "did you mean " + quote(best)
	}
	c.fail(n, n.val, hint, "%s names a %s that %s does not have: %s", keyName(path...), what, table, quote(name))
}

func (c *checker) python(n *keyNode) {
	seen := map[string]bool{}
	for _, e := range n.get("python", "index").elems() {
		name := e.str("name", "")
		if seen[name] {
			c.fail(e.get("name"), e.get("name").val, "", "`python.index.name` has this twice: %s", quote(name))
		}
		seen[name] = true
	}
	py := n.get("python")
	for _, key := range []string{"extras", "groups"} {
		if k := py.get(key); k != nil && py.get("project") == nil {
			c.fail(k, k.key, `add project = "."`, "%s needs `python.project`", keyName("python", key))
		}
	}
}

// network checks one table; mode is that of the merged table.
func (c *checker) network(n *keyNode, mode string, path []string) {
	allow := n.get("allow")
	if len(allow.elems()) > 0 && mode != "private" {
		c.fail(allow, allow.key, `add mode = "private"`, "%s holds in a private network only", keyName(append(path, "allow")...))
	}
	seen := map[string]bool{}
	for _, e := range n.get("publish").elems() {
		s, _ := e.value.(string)
		addr, host, _, _ := splitPublish(s)
		if seen[addr+" "+host] {
			c.fail(e, e.val, "", "%s has this port of the host twice: %s", keyName(append(path, "publish")...), quote(s))
		}
		seen[addr+" "+host] = true
	}
}

func (c *checker) gpu(n *keyNode, path []string) {
	if n == nil || n.str("need", "none") != "none" {
		return
	}
	for _, key := range []string{"count", "min-memory", "total-memory", "compute", "name", "mig", "wait"} {
		if k := n.get(key); k != nil && n.get("need") == nil {
			c.fail(k, k.key, `add need = "required" or need = "optional"`, "%s has no effect without %s", keyName(append(path, key)...), keyName(append(path, "need")...))
			return
		}
	}
}

// secrets refuses two values for one variable or one file.
func (c *checker) secrets(n *keyNode) {
	files := map[string]string{}
	for _, name := range n.get("secrets").names() {
		s := n.get("secrets", name)
		as := s.str("as", "env")
		if as == "env" {
			if v := n.get("env", "set", name); v != nil {
				c.fail(v, v.key, "", "%s is a secret, too: only one of them can be the value", keyName("env", "set", name))
			}
			continue
		}
		if other := files[as]; other != "" {
			c.fail(s.get("as"), s.get("as").val, "", "%s is the file of secret %s: %s", keyName("secrets", name, "as"), keyName(other), quote(as))
		}
		files[as] = name
	}
}

func (c *checker) task(root, n *keyNode, path []string) {
	sub := func(key string) []string { return append(path[:len(path):len(path)], key) }
	if n.get("run") == nil && (path[0] == "task" || n.get("image") == nil) {
		c.fail(n, n.key, "", "%s is missing", keyName(sub("run")...))
	}
	c.declaredSecrets(root, n.get("secrets"), sub("secrets"), "run")
	tasks := root.get("task")
	for _, e := range n.get("depends").elems() {
		if name, _ := e.value.(string); tasks.get(name) == nil {
			c.undeclared(e, sub("depends"), "task", "the file", name, tasks.names())
		}
	}
	if n.get("network") != nil {
		mode := root.get("network").merged(n.get("network")).str("mode", "host")
		c.network(n.get("network"), mode, sub("network"))
	}
	if n.get("gpu") != nil {
		c.gpu(root.get("gpu").merged(n.get("gpu")), sub("gpu"))
	}
	if n.get("mounts") != nil {
		used := map[string]string{root.get("project").str("at", "/workspace"): "the project"}
		c.mountTable(root.get("mounts").merged(n.get("mounts")), n.get("mounts"), sub("mounts"), used)
	}
}

// cycles finds tasks that would wait for themselves.
func (c *checker) cycles(tasks *keyNode) {
	const open, done = 1, 2
	state := map[string]int{}
	var visit func(name string, chain []string)
	visit = func(name string, chain []string) {
		n := tasks.get(name)
		if n == nil || state[name] == done {
			return
		}
		if state[name] == open {
			chain = append(chain[slices.Index(chain, name):], name)
			d := n.get("depends")
			c.fail(d, d.key, "", "tasks depend on each other: %s", strings.Join(chain, " -> "))
			return
		}
		state[name] = open
		for _, next := range n.strs("depends") {
			visit(next, append(chain[:len(chain):len(chain)], name))
		}
		state[name] = done
	}
	for _, name := range tasks.names() {
		visit(name, nil)
	}
}
