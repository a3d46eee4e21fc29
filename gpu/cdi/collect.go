package cdi

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	specs "tags.cncf.io/container-device-interface/specs-go"
)

// collector puts the edits of several devices together.
type collector struct {
	Options
	edits  *Edits
	by     map[string]string // target → what lies there, to find two devices that want one path
	closed map[string]string // nodes that this user cannot open: target → why
	left   map[string]error  // hooks that were left out → what to say if that cannot be
	errs   []error
}

func newCollector(o Options) *collector {
	return &collector{Options: o, edits: &Edits{Env: map[string]string{}}, by: map[string]string{}, closed: map[string]string{}, left: map[string]error{}}
}

// add takes in one list of edits. It goes on after an error, so that all that is wrong is told at once.
func (c *collector) add(d *device, e *specs.ContainerEdits) {
	size := len(e.DeviceNodes) + len(e.Mounts) + len(e.Hooks) + len(e.Env) + len(e.AdditionalGIDs) + len(c.by)
	if size > maxEdits {
		c.bad(d, fmt.Errorf("more than %d changes of a sandbox", maxEdits))
		return
	}
	for _, n := range e.DeviceNodes {
		c.node(d, n)
	}
	for _, m := range e.Mounts {
		c.mount(d, m)
	}
	for _, kv := range e.Env {
		c.env(d, kv)
	}
	for _, h := range e.Hooks {
		c.hook(d, h)
	}
	for _, g := range e.AdditionalGIDs {
		if g != 0 && !slices.Contains(c.edits.Groups, int(g)) {
			c.edits.Groups = append(c.edits.Groups, int(g))
		}
	}
	for _, n := range e.NetDevices {
		c.bad(d, fmt.Errorf("network interfaces are not moved into a sandbox: %s", printable(n.HostInterfaceName)))
	}
	if e.IntelRdt != nil {
		c.note(d.name + ": the shares of cache and memory bandwidth (intelRdt) are not set: that takes root")
	}
}

func (c *collector) bad(d *device, err error) {
	c.errs = append(c.errs, &BadError{Spec: d.file.path, Device: d.name, Why: err.Error()})
}

func (c *collector) note(s string) {
	if !slices.Contains(c.edits.Notes, s) {
		c.edits.Notes = append(c.edits.Notes, s)
	}
}

// found is a host path of a description with its links followed; false if it was told what is wrong.
func (c *collector) found(d *device, p string) (string, fs.FileInfo, bool) {
	clean, err := hostPath(p)
	if err != nil {
		c.bad(d, err)
		return "", nil, false
	}
	real, fi, err := c.resolve(clean)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotFolder):
		c.errs = append(c.errs, &StaleError{Device: d.name, Spec: d.file.path, Path: clean, Why: "no such file"})
		return "", nil, false
	case err != nil:
		c.bad(d, fmt.Errorf("%s: %s", cause(err), clean))
		return "", nil, false
	}
	// A link must not lead where the description itself may not.
	if _, err := hostPath(real); err != nil {
		c.bad(d, err)
		return "", nil, false
	}
	return real, fi, true
}

// free tells whether nothing else lies at a target yet; the same thing twice is fine and not added again.
func (c *collector) free(d *device, target, what string) bool {
	switch c.by[target] {
	case "":
		c.by[target] = what
		return true
	case what:
		return false
	}
	c.bad(d, fmt.Errorf("two things for one place: %s and %s at %s", c.by[target], what, target))
	return false
}

func (c *collector) node(d *device, n *specs.DeviceNode) {
	t, err := target(n.Path)
	if err == nil && !within(t, "/dev") {
		err = fmt.Errorf("device nodes lie in /dev: %s", t)
	}
	if err == nil && n.Type == "p" {
		err = fmt.Errorf("a pipe is no device: %s", t)
	}
	if err != nil {
		c.bad(d, err)
		return
	}
	host := n.HostPath
	if host == "" {
		host = n.Path
	}
	real, fi, ok := c.found(d, host)
	if !ok {
		return
	}
	if why := c.mismatch(n, fi); why != "" {
		c.errs = append(c.errs, &StaleError{Device: d.name, Spec: d.file.path, Path: real, Why: why})
		return
	}
	c.addNode(d, real, t, fi)
}

// mismatch compares a node with what its description says. A runtime with root would make a node of the
// described number, another device than the one of this name.
func (c *collector) mismatch(n *specs.DeviceNode, fi fs.FileInfo) string {
	kind, major, minor, ok := number(fi)
	want := map[string]string{"": kind, "c": "c", "u": "c", "b": "b"}[n.Type]
	switch {
	case !ok:
		return "not a device"
	case kind != want:
		return fmt.Sprintf("it is a %s device here and a %s device in the description", kindName(kind), kindName(want))
	case (n.Major != 0 || n.Minor != 0) && (n.Major != major || n.Minor != minor):
		return fmt.Sprintf("it is device %d:%d here and %d:%d in the description", major, minor, n.Major, n.Minor)
	}
	return ""
}

func kindName(t string) string {
	if t == "b" {
		return "block"
	}
	return "character"
}

func (c *collector) addNode(d *device, real, t string, fi fs.FileInfo) {
	if !c.free(d, t, "device "+real) {
		return
	}
	if why := closed(c.at(real), fi); why != "" {
		c.closed[t] = why
	}
	c.edits.Nodes = append(c.edits.Nodes, Node{Source: c.at(real), Target: t, Why: d.name})
}

func (c *collector) mount(d *device, m *specs.Mount) {
	t, err := target(m.ContainerPath)
	if err == nil && m.Type != "" && m.Type != "none" && m.Type != "bind" {
		err = fmt.Errorf("only files and folders of the host are mounted, not %s: %s", printable(m.Type), t)
	}
	var flags, dropped []string
	if err == nil {
		flags, dropped, err = options(m.Options)
	}
	if err != nil {
		c.bad(d, err)
		return
	}
	real, fi, ok := c.found(d, m.HostPath)
	if !ok {
		return
	}
	if len(dropped) > 0 {
		c.note(fmt.Sprintf("%s: mounts of the host that come later do not show in the sandbox (%s): %s", d.name, strings.Join(dropped, ","), t))
	}
	// Tools describe /dev/dri/by-path/… as mounts; they are links to nodes.
	if _, _, _, isDevice := number(fi); isDevice {
		if !within(t, "/dev") {
			c.bad(d, fmt.Errorf("device nodes lie in /dev: %s", t))
			return
		}
		c.addNode(d, real, t, fi)
		return
	}
	if c.free(d, t, real) {
		c.edits.Binds = append(c.edits.Binds, Bind{Source: c.at(real), Target: t, Flags: flags, Why: d.name})
	}
}

// options turns mount options into flags. Set-user-id bits never count in a sandbox, so nosuid is always
// set. All mounts are recursive and private.
func options(list []string) (flags, dropped []string, err error) {
	set := map[string]bool{"nosuid": true}
	for _, o := range list {
		switch o {
		case "ro", "nodev", "noexec", "nosuid":
			set[o] = true
		case "rw", "bind", "rbind", "private", "rprivate", "suid", "dev", "exec", "relatime", "noatime":
		case "slave", "rslave":
			dropped = append(dropped, o)
		default:
			return nil, nil, fmt.Errorf("mount option that a sandbox does not have: %s", printable(o))
		}
	}
	for _, f := range []string{"ro", "nosuid", "nodev", "noexec"} {
		if set[f] {
			flags = append(flags, f)
		}
	}
	return flags, dropped, nil
}

func (c *collector) env(d *device, kv string) {
	name, value, _ := strings.Cut(kv, "=")
	for i, r := range name {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			c.bad(d, fmt.Errorf("not the name of a variable: %s", printable(name)))
			return
		}
	}
	switch {
	case strings.ContainsRune(value, 0) || len(value) > 1<<16:
		c.bad(d, fmt.Errorf("the value of a variable is too long or has a zero byte: %s", name))
		return
	case strings.HasPrefix(name, "SANDBOX_") || name == "HOME" || name == "PATH":
		c.bad(d, fmt.Errorf("the sandbox sets this variable: %s", name))
		return
	}
	if old, set := c.edits.Env[name]; set && old != value {
		c.note(fmt.Sprintf("%s sets %s to %s, which was %s", d.name, name, printable(value), printable(old)))
	}
	c.edits.Env[name] = value
}

// finish gives the edits, or all that is wrong with them.
func (c *collector) finish(notes []string) (*Edits, error) {
	c.leftOut()
	if len(c.errs) > 0 {
		return nil, errors.Join(unique(c.errs)...)
	}
	e := c.edits
	var closed []string
	for t, why := range c.closed {
		closed = append(closed, t+": "+why)
	}
	sort.Strings(closed)
	if len(closed) > 0 && len(closed) == len(e.Nodes) {
		return nil, &BadError{Spec: strings.Join(e.Specs, ", "), Device: strings.Join(e.Devices, ", "), Why: "you may open none of its nodes: " + strings.Join(closed, "; ")}
	}
	for _, s := range closed {
		c.note("you may not open " + s)
	}
	for _, g := range e.Groups {
		if !member(g) {
			c.note(fmt.Sprintf("the program should be in group %s of this machine, and you are not", group(g)))
		}
	}
	c.sonames()
	e.Notes = append(e.Notes, notes...)
	// What lies below a folder is mounted after it, or it would be hidden.
	sort.SliceStable(e.Binds, func(i, j int) bool { return depth(e.Binds[i].Target) < depth(e.Binds[j].Target) })
	return e, nil
}

func depth(p string) int { return strings.Count(path.Clean(p), "/") }

// unique leaves out what is said already: what a file says of all devices is wrong once.
func unique(errs []error) []error {
	var out []error
	said := map[string]bool{}
	for _, err := range errs {
		if !said[err.Error()] {
			said[err.Error()] = true
			out = append(out, err)
		}
	}
	return out
}

func decimal(n int) string { return strconv.Itoa(n) }
