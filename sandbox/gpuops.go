package sandbox

import (
	"os"
	"path"
	"slices"
	"strings"

	"github.com/4cc2e759/sandbox/gpu/cdi"
	"github.com/4cc2e759/sandbox/gpu/inject"
	"github.com/4cc2e759/sandbox/sandbox/plan"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// opList turns what a device needs into operations. What something is bound onto has to exist: in a
// tmpfs of ours it is made here, elsewhere it becomes a mount point of the stub layer.
type opList struct {
	ops  []spec.Op
	ours []string        // folders that are ours to fill
	made map[string]bool // folders made so far
	out  []string        // folders below /proc that this kernel does not have, and nobody can make
}

// leaveOut tells whether target is a folder of procfs that is not there: a driver that lies in a folder
// of its own has its proc files there, too.
func (l *opList) leaveOut(target string) bool {
	if !strings.HasPrefix(target, "/proc/") || isDir(target) {
		return false
	}
	l.out = append(l.out, target)
	return true
}

// left tells whether target lies in what was left out.
func (l *opList) left(target string) bool {
	return slices.ContainsFunc(l.out, func(dir string) bool { return target == dir || strings.HasPrefix(target, dir+"/") })
}

func newOpList() *opList {
	return &opList{ours: []string{plan.Run, "/dev", "/tmp"}, made: map[string]bool{}}
}

// fillable tells whether target lies in a tmpfs of ours, and in which.
func (l *opList) fillable(target string) (string, bool) {
	for _, dir := range l.ours {
		if strings.HasPrefix(target, dir+"/") {
			return dir, true
		}
	}
	return "", false
}

// parents makes the folders above target.
func (l *opList) parents(target, why string) {
	if top, ok := l.fillable(target); ok && path.Dir(target) != top {
		l.dir(path.Dir(target), why)
	}
}

func (l *opList) dir(target, why string) {
	if _, ok := l.fillable(target); !ok || l.made[target] {
		return
	}
	l.made[target] = true
	l.ops = append(l.ops, spec.Op{Kind: spec.Dir, Target: target, Mode: 0o755, Why: why})
}

func (l *opList) node(source, target, why string) {
	l.parents(target, why)
	l.ops = append(l.ops, spec.Op{Kind: spec.Device, Source: source, Target: target, Why: why})
}

func (l *opList) bind(source, target string, folder, optional bool, flags []string, why string) {
	l.parents(target, why)
	if _, ok := l.fillable(target); ok {
		if folder {
			l.dir(target, why)
		} else {
			l.ops = append(l.ops, spec.Op{Kind: spec.File, Target: target, Mode: 0o644, Why: why})
		}
	}
	l.ops = append(l.ops, spec.Op{Kind: spec.Bind, Source: source, Target: target, Flags: flags, Optional: optional, Why: why})
}

func (l *opList) link(target, to, why string) {
	l.parents(target, why)
	l.ops = append(l.ops, spec.Op{Kind: spec.Symlink, Source: to, Target: target, Why: why})
}

// add puts an injection into operations, in the order that package inject promises.
func (l *opList) add(i *inject.Injection) {
	for _, t := range i.Tmpfs {
		if l.leaveOut(t.Target) {
			continue
		}
		l.parents(t.Target, t.Why)
		l.dir(t.Target, t.Why)
		l.ops = append(l.ops, spec.Op{Kind: spec.Tmpfs, Target: t.Target, Data: "mode=755,size=4096k", Flags: []string{"nosuid", "nodev"}, Why: t.Why})
		l.ours = append(l.ours, t.Target)
	}
	for _, f := range i.Files {
		if l.left(f.Target) {
			continue
		}
		l.parents(f.Target, f.Why)
		l.ops = append(l.ops, spec.Op{Kind: spec.File, Target: f.Target, Content: string(f.Content), Mode: f.Mode, Why: f.Why})
	}
	for _, n := range i.Nodes {
		l.node(n.Source, n.Target, n.Why)
	}
	for _, b := range i.Binds {
		if l.left(b.Target) {
			continue
		}
		l.bind(b.Source, b.Target, b.Folder, b.Optional, b.Flags, b.Why)
	}
	for _, k := range i.Links {
		l.link(k.Target, k.To, k.Why)
	}
	for _, k := range i.Masks {
		l.ops = append(l.ops, spec.Op{Kind: spec.Mask, Target: k.Target, Why: k.Why})
	}
	for _, t := range i.Tmpfs {
		if t.ReadOnly && !l.left(t.Target) {
			l.ops = append(l.ops, spec.Op{Kind: spec.Lock, Target: t.Target, Why: t.Why})
		}
	}
}

// addEdits puts what CDI devices need into operations.
func (l *opList) addEdits(e *cdi.Edits) {
	for _, n := range e.Nodes {
		l.node(n.Source, n.Target, n.Why)
	}
	for _, b := range e.Binds {
		l.bind(b.Source, b.Target, isDir(b.Source), false, b.Flags, b.Why)
	}
	for _, k := range e.Links {
		if _, ok := l.fillable(k.Path); ok {
			l.link(k.Path, k.To, k.Why)
		}
	}
}

func isDir(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.IsDir()
}
