package plan

import (
	"path"
	"slices"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// MakePoints adds to a spec the folders and empty files that mounts are put on where no layer can have
// them: in what is mounted empty at each start, as /dev, /tmp and a tmpfs of the env file are. tmp is the
// host folder that /tmp is bound from, "" if it is a tmpfs; file tells whether a host path is a file.
//
// Nothing is made in a folder of the host that somebody asked for: what lies in it is his.
func MakePoints(s *spec.Spec, tmp string, file func(hostPath string) bool) {
	made := map[string]bool{}
	var out, mounts []spec.Op
	for _, op := range s.Ops {
		switch op.Kind {
		case spec.Bind, spec.Tmpfs:
			isFile := op.Kind == spec.Bind && (inside(op) || file(op.Source))
			if top, empty := emptyAbove(mounts, op.Target, tmp); empty {
				out = append(out, points(top, op, isFile, made)...)
			}
			mounts = append(mounts, op)
		case spec.Proc, spec.Sysfs, spec.Devpts, spec.Mqueue:
			mounts = append(mounts, op)
		case spec.Dir, spec.File:
			made[op.Target] = true
		}
		out = append(out, op)
	}
	s.Ops = out
}

// emptyAbove is the innermost mount that holds p, if it begins empty.
func emptyAbove(mounts []spec.Op, p, tmp string) (top string, empty bool) {
	for _, m := range slices.Backward(mounts) {
		if m.Target == p {
			return "", false // it is there
		}
		if below(p, m.Target) {
			return m.Target, m.Kind == spec.Tmpfs || m.Kind == spec.Bind && m.Target == "/tmp" && m.Source == tmp
		}
	}
	return "", false
}

// points are what op is mounted on below top, and the folder around it.
func points(top string, op spec.Op, isFile bool, made map[string]bool) []spec.Op {
	var out []spec.Op
	add := func(p string, o spec.Op) {
		if !made[p] {
			made[p] = true
			o.Target, o.Why = p, op.Why
			out = append(out, o)
		}
	}
	folder := spec.Op{Kind: spec.Dir, Mode: 0o755}
	if !isFile {
		add(op.Target, folder)
		return out
	}
	if up := path.Dir(op.Target); up != top {
		add(up, folder)
	}
	add(op.Target, spec.Op{Kind: spec.File, Mode: 0o644})
	return out
}
