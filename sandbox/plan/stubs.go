package plan

import (
	"path"
	"sort"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// Stub is a mount point that must exist before anything is mounted.
type Stub struct {
	Path string
	File bool   // a file, not a folder; empty, or
	Copy string // with the content of this host file
}

// caInside is where Debian's Python programs look for certificates, pip among them: pip fails at its
// first import where the file is missing, whatever the environment says.
const caInside = "/etc/ssl/certs/ca-certificates.crt"

// Certificates is the host's bundle at the usual place, for an image without one. It lies in the lowest
// layer of all, so that the image's own, or one that is installed inside, stands before it.
func Certificates(in Inputs) []Stub {
	if in.Env.Network != "host" || in.Host.CABundle == "" {
		return nil
	}
	return []Stub{{Path: caInside, File: true, Copy: in.Host.CABundle}}
}

// Stubs lists the mount points of a spec that an image may lack, sorted, outer ones first. Those
// below /dev, /tmp, /proc and /run/sandbox are left out: what is mounted there has them, or they are made in
// it ([MakePoints]). file tells whether a host path is a file.
func Stubs(s *spec.Spec, file func(hostPath string) bool) []Stub {
	seen := map[string]bool{}
	var out []Stub
	add := func(p string, isFile bool) {
		if p == "/" || seen[p] {
			return
		}
		seen[p] = true
		out = append(out, Stub{Path: p, File: isFile})
	}
	for _, op := range s.Ops {
		switch op.Kind {
		case spec.Bind, spec.Tmpfs, spec.Proc, spec.Sysfs:
		default:
			continue
		}
		if below(op.Target, "/dev") || below(op.Target, Run) || below(op.Target, "/proc") || below(op.Target, "/tmp") {
			continue
		}
		isFile := false
		if op.Kind == spec.Bind {
			isFile = inside(op) || file(op.Source)
		}
		add(op.Target, isFile)
	}
	if d := s.Process.Dir; d != "" && !covered(s, d) {
		add(d, false)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Path < out[j].Path })
	return out
}

// inside binds are files of ours below /run/sandbox.
func inside(op spec.Op) bool {
	for _, f := range op.Flags {
		if f == "inside" {
			return true
		}
	}
	return false
}

func below(p, dir string) bool { return len(p) > len(dir) && p[:len(dir)] == dir && p[len(dir)] == '/' }

// covered tells whether a mount of the spec holds p, so that a stub for it would never be seen.
func covered(s *spec.Spec, p string) bool {
	for _, op := range s.Ops {
		if op.Kind == spec.Bind && (path.Clean(op.Target) == p || below(p, op.Target)) {
			return true
		}
	}
	return false
}
