package plan

import (
	"fmt"
	"path"
	"sort"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/envfile/terms"
	"github.com/4cc2e759/sandbox/internal/hint"
	"github.com/4cc2e759/sandbox/sandbox/spec"
)

// ops lists the mounts: the kernel's file systems, our own folder, the project, the mounts of the
// env file and of the command line, in this order, so that a later one may lie inside an earlier.
func ops(in Inputs) ([]spec.Op, error) {
	var out []spec.Op
	out = append(out, kernel(in)...)
	out = append(out, ours(in)...)
	if in.GPU != nil {
		out = append(out, in.GPU.Ops...)
	}
	out = append(out, home(in)...)
	out = append(out, project(in)...)
	m, err := mounts(in)
	if err != nil {
		return nil, err
	}
	return append(out, m...), nil
}

// kernel is /proc, /sys, /dev and /tmp.
func kernel(in Inputs) []spec.Op {
	out := []spec.Op{{Kind: spec.Proc, Target: "/proc", Why: "processes of this sandbox only"}}
	// Host root keeps its uid inside, and the kernel lets that uid write here: a sandbox started by
	// root could change the host. For others it is one wall more.
	for _, p := range []string{"sys", "sysrq-trigger", "irq", "bus", "fs"} {
		out = append(out, spec.Op{Kind: spec.Lock, Target: "/proc/" + p, Why: "settings of the host's kernel are not for writing"})
	}
	if in.Host.UID == 0 {
		for _, p := range []string{"kcore", "keys", "timer_list", "acpi", "scsi", "latency_stats"} {
			out = append(out, spec.Op{Kind: spec.Mask, Target: "/proc/" + p, Why: "memory and secrets of the host's kernel"})
		}
	}
	out = append(out,
		spec.Op{Kind: spec.Sysfs, Target: "/sys", Why: "programs read the processors and devices"},
		spec.Op{Kind: spec.Tmpfs, Target: "/dev", Data: "mode=755,size=65536k", Flags: []string{"nosuid", "noexec"}, Why: "own /dev: the kernel allows device nodes only as binds"})
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		out = append(out, spec.Op{Kind: spec.Device, Source: "/dev/" + d, Target: "/dev/" + d, Why: "a device every program may expect"})
	}
	for _, l := range [][2]string{{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}} {
		out = append(out, spec.Op{Kind: spec.Symlink, Source: l[0], Target: "/dev/" + l[1], Why: "links every program may expect"})
	}
	shm := "mode=1777"
	if in.Env.Shm > 0 {
		shm += ",size=" + strconv.FormatInt(in.Env.Shm, 10)
	}
	out = append(out,
		spec.Op{Kind: spec.Dir, Target: "/dev/pts", Mode: 0o755, Why: "terminals"},
		spec.Op{Kind: spec.Devpts, Target: "/dev/pts", Why: "own terminals: input cannot be typed into the host's"},
		spec.Op{Kind: spec.Dir, Target: "/dev/shm", Mode: 0o755, Why: "shared memory"},
		spec.Op{Kind: spec.Tmpfs, Target: "/dev/shm", Data: shm, Flags: []string{"nosuid", "nodev"}, Why: "shared memory of this sandbox: data loaders of PyTorch use it"},
		spec.Op{Kind: spec.Dir, Target: "/dev/mqueue", Mode: 0o755, Why: "message queues"},
		spec.Op{Kind: spec.Mqueue, Target: "/dev/mqueue", Why: "message queues of this sandbox"})
	if in.Sandbox.Tmp != "" {
		out = append(out, spec.Op{Kind: spec.Bind, Source: in.Sandbox.Tmp, Target: "/tmp", Flags: []string{"nosuid", "nodev"}, Why: "own /tmp, on disk and thrown away"})
	} else {
		out = append(out, spec.Op{Kind: spec.Tmpfs, Target: "/tmp", Data: "mode=1777", Flags: []string{"nosuid", "nodev"}, Why: "own /tmp"})
	}
	return out
}

// ours is /run/sandbox and what is laid over /etc from it.
func ours(in Inputs) []spec.Op {
	out := []spec.Op{{Kind: spec.Tmpfs, Target: Run, Data: "mode=755,size=16384k", Flags: []string{"nosuid", "nodev"}, Why: "files of this start; never in a layer"}}
	name := hostname(in.Env.Name)
	hosts := in.Host.Hosts
	if in.Env.Network == "none" || hosts == "" {
		hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
	}
	if !strings.HasSuffix(hosts, "\n") {
		hosts += "\n"
	}
	out = append(out,
		spec.Op{Kind: spec.File, Target: Run + "/hosts", Content: hosts + "127.0.1.1\t" + name + "\n", Mode: 0o644, Why: "the host's names, and this sandbox's own"},
		spec.Op{Kind: spec.Bind, Source: Run + "/hosts", Target: "/etc/hosts", Flags: []string{"inside"}, Why: "the host's names, and this sandbox's own"})
	if in.Env.Network == "host" && in.Host.ResolvConf != "" {
		out = append(out, spec.Op{Kind: spec.Bind, Source: in.Host.ResolvConf, Target: "/etc/resolv.conf", Flags: []string{"ro"}, Optional: true, Why: "name servers of the host: network is host"})
	}
	if in.Env.Network == "host" && in.Host.CABundle != "" {
		out = append(out,
			spec.Op{Kind: spec.File, Target: Run + "/ca.crt", Mode: 0o644, Why: "certificates the host trusts"},
			spec.Op{Kind: spec.Bind, Source: in.Host.CABundle, Target: Run + "/ca.crt", Flags: []string{"ro"}, Optional: true, Why: "certificates the host trusts"})
	}
	if in.Env.Apt {
		out = append(out, apt(in)...)
	}
	return out
}

// apt tells apt by environment (APT_CONFIG), not by a file in a layer, that it must not change its
// user, and where a base that brings no sources finds the host's.
func apt(in Inputs) []spec.Op {
	conf := "APT::Sandbox::User \"root\";\n"
	var out []spec.Op
	if in.Env.AptSources && in.Host.AptList != "" {
		conf += "Dir::Etc::SourceList \"" + Run + "/sources.list\";\n"
		out = append(out, spec.Op{Kind: spec.File, Target: Run + "/sources.list", Content: in.Host.AptList, Mode: 0o644, Why: "archives of the base, as this host reaches them"})
		if in.Host.AptKeyring != "" {
			out = append(out,
				spec.Op{Kind: spec.File, Target: Run + "/archive-keyring", Mode: 0o644, Why: "keys of the archives"},
				spec.Op{Kind: spec.Bind, Source: in.Host.AptKeyring, Target: Run + "/archive-keyring", Flags: []string{"ro"}, Optional: true, Why: "keys of the archives"})
		}
	}
	return append(out, spec.Op{Kind: spec.File, Target: Run + "/apt.conf", Content: conf, Mode: 0o644, Why: "apt stays one user: there is only one"})
}

// home is the cache folder in the image's own home.
func home(in Inputs) []spec.Op {
	if in.Sandbox.Cache == "" || in.Env.User.Home == "" || in.Env.User.Home == "/" {
		return nil
	}
	return []spec.Op{{Kind: spec.Bind, Source: in.Sandbox.Cache, Target: path.Join(in.Env.User.Home, ".cache"), Flags: []string{"nosuid", "nodev"}, Why: "downloads are kept between sandboxes"}}
}

func project(in Inputs) []spec.Op {
	p := in.Project
	if p == nil {
		return nil
	}
	flags := []string{"nosuid", "nodev"}
	if p.ReadOnly {
		flags = append(flags, "ro")
	}
	out := []spec.Op{{Kind: spec.Bind, Source: p.Dir, Target: at(in), Flags: flags, Why: "the project"}}
	if p.Stranger {
		out = append(out, spec.Op{Kind: spec.Lock, Target: path.Join(at(in), ".git"), Why: "hooks and settings of git would run on the host"})
	}
	if p.Store != "" {
		out = append(out, spec.Op{Kind: spec.Mask, Target: path.Join(at(in), p.Store), Why: "the store lies in the project; code must not change it"})
	}
	return out
}

// mounts are those of the env file and the command line, sorted so that outer ones come first.
func mounts(in Inputs) ([]spec.Op, error) {
	type item struct {
		key, why string
		m        terms.Mount
	}
	var items []item
	for k, m := range in.Env.Mounts {
		why := "mounts." + k
		if at := in.Env.Sources[why]; at != "" {
			why = at + ": " + why
		}
		items = append(items, item{k, why, m})
	}
	for k, m := range in.Extra.Mounts {
		items = append(items, item{k, "--mount", m})
	}
	sort.Slice(items, func(i, j int) bool { return items[i].m.To < items[j].m.To })
	var out []spec.Op
	for _, it := range items {
		if it.m.To == Run || below(it.m.To, Run) {
			place := it.why
			if it.why == "--mount" {
				place = it.key
			}
			return nil, hint.With(fmt.Errorf("%s: %s is for the sandbox's own files", place, Run), "any other folder will do: /mnt"+strings.TrimPrefix(it.m.To, Run))
		}
		op, err := mount(in, it.key, it.m)
		if err != nil {
			return nil, err
		}
		if op == nil {
			continue
		}
		op.Why = it.why
		out = append(out, *op)
	}
	for _, f := range in.Env.Fetches {
		out = append(out, spec.Op{Kind: spec.Bind, Source: f.Source, Target: f.To, Flags: []string{"ro", "nosuid", "nodev"}, Why: "[[fetch]]"})
	}
	return out, nil
}

func mount(in Inputs, key string, m terms.Mount) (*spec.Op, error) {
	op := &spec.Op{Kind: spec.Bind, Target: m.To, Flags: []string{"nosuid", "nodev"}, Optional: m.Optional}
	if m.Mode == "ro" {
		op.Flags = append(op.Flags, "ro")
	}
	switch m.Kind {
	case "tmpfs":
		op.Kind, op.Data = spec.Tmpfs, "mode=755"
		if m.Size > 0 {
			op.Data += ",size=" + strconv.FormatInt(int64(m.Size), 10)
		}
	case "project":
		if in.Project == nil {
			return nil, fmt.Errorf("mount %s is a path of the project, and there is no project here", key)
		}
		op.Source = path.Join(in.Project.Dir, m.From)
		op.Data = in.Project.Dir // what code left there as a link must not lead out
	case "cache", "volume":
		op.Source = in.Extra.Caches[key]
	case "host":
		op.Source = in.Extra.Bind[key]
		if m.From != "" {
			op.Source = m.From
		}
		if op.Source == "" && m.Optional {
			return nil, nil
		}
	}
	if op.Kind == spec.Bind && op.Source == "" {
		return nil, fmt.Errorf("mount %s has no source", key)
	}
	return op, nil
}
