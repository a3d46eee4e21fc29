package plan

import (
	"fmt"
	"math"
	"path"
	"strings"

	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// Run is where things of ours lie inside: a tmpfs that no layer and no commit ever contains.
const Run = "/run/sandbox"

// containerCaps are the capabilities of an ordinary container, as Docker grants them; inside a user
// namespace they reach nothing but the sandbox's own things.
var containerCaps = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// Plan makes the spec of one start.
func Plan(in Inputs) (*spec.Spec, error) {
	if len(in.Args) == 0 {
		return nil, fmt.Errorf("no command to run")
	}
	e := &in.Env
	s := &spec.Spec{
		Version:  spec.Version,
		Hostname: hostname(e.Name),
		IDs:      ids(in),
		Unshare:  []spec.Namespace{"user", "mount", "pid", "ipc", "uts"},
		Root:     root(in),
		Seccomp:  []string{"container"},
	}
	if e.User.UID == 0 {
		// With one mapped id the kernel refuses every chown and every change of user; package
		// managers only want to hear that it went well.
		s.Seccomp = append(s.Seccomp, "root")
		if in.Sandbox.Upper != "" && !in.Sandbox.Volatile { // kept: commit wants to know whose files are
			s.Seccomp = append(s.Seccomp, "owners")
		}
	}
	if e.Network == "none" {
		s.Unshare = append(s.Unshare, "net")
		s.Ops = append(s.Ops, spec.Op{Kind: spec.Loopup, Why: "network none still has loopback"})
	}
	s.Ops = append(s.Ops, in.Sandbox.Bound...)
	ops, err := ops(in)
	if err != nil {
		return nil, err
	}
	s.Ops = append(s.Ops, ops...)
	s.Process = spec.Process{
		Args: in.Args,
		Env:  Environ(in),
		Dir:  workdir(in),
		Caps: caps(in),
	}
	if in.GPU != nil && in.GPU.Memlock {
		// Pinned host memory counts as locked; NCCL registers large buffers.
		s.Process.Rlimit = append(s.Process.Rlimit, spec.Rlimit{Name: "memlock", Soft: math.MaxUint64, Hard: math.MaxUint64})
	}
	return s, nil
}

// ids maps the caller to the user inside. Host root working on another user's project keeps that
// owner as himself, so that new files are not root's surprise and old ones keep their name.
func ids(in Inputs) spec.IDs {
	ids := spec.IDs{UID: in.Env.User.UID, GID: in.Env.User.GID}
	if p := in.Project; p != nil && in.Host.UID == 0 && p.OwnerUID != 0 && ids.UID == 0 {
		ids.Owner = &spec.Own{UID: p.OwnerUID, GID: p.OwnerGID}
	}
	return ids
}

func root(in Inputs) spec.Root {
	sb := in.Sandbox
	if sb.Root != "" {
		return spec.Root{Bind: sb.Root}
	}
	r := spec.Root{Upper: sb.Upper, Work: sb.Work, Volatile: sb.Volatile}
	if sb.Stubs != "" {
		r.Lowers = append(r.Lowers, spec.Lower{Path: sb.Stubs, Why: "mount points, below everything so that they never show as a change"})
	}
	r.Lowers = append(r.Lowers, in.Env.Lowers...)
	if in.GPU != nil && in.GPU.Lower != "" {
		r.Lowers = append(r.Lowers, spec.Lower{Path: in.GPU.Lower, Why: "where the loader finds the driver's libraries, above the image's own list"})
	}
	return r
}

func caps(in Inputs) []string {
	if in.Env.User.UID != 0 {
		return nil
	}
	c := containerCaps
	if in.Env.Ptrace {
		c = append(c[:len(c):len(c)], "CAP_SYS_PTRACE")
	}
	return c
}

// workdir is the task's or the user's choice, else where the user stands in the project, else the
// image's.
func workdir(in Inputs) string {
	at := at(in)
	switch {
	case in.Workdir != "" && path.IsAbs(in.Workdir):
		return path.Clean(in.Workdir)
	case in.Workdir != "" && at != "":
		return path.Join(at, in.Workdir)
	case at != "":
		return path.Join(at, in.Project.Rel)
	case in.Env.WorkingDir != "":
		return path.Join("/", in.Env.WorkingDir)
	}
	return "/"
}

// at is the project's folder inside, or "" without a project.
func at(in Inputs) string {
	if in.Project == nil {
		return ""
	}
	if in.Env.At == "same" {
		return in.Project.Dir
	}
	if in.Env.At == "" {
		return "/workspace"
	}
	return in.Env.At
}

// hostname makes a valid host name of a name: RFC 1123 labels, 63 bytes.
func hostname(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0:
			b.WriteByte('-')
		}
		if b.Len() == 63 {
			break
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	return "sandbox"
}
