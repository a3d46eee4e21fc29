package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// probes lists all causes, the most basic first: the first that fails is the one to name.
func probes() []probe {
	return []probe{
		{"kernel", "kernel version", "", kernel},
		{"limit", "limits of namespaces", "", nsLimit},
		{"sysctl", "user namespaces for ordinary users", "", sysctl},
		{"chroot", "own root folder", "", chroot},
		{"unmapped", "own user id", "", unmapped},
		{"userns", "making a user namespace", "", userns},
		{"apparmor", "AppArmor's restriction of user namespaces", "userns", apparmor},
		{"uidmap", "mapping one's own user id", "userns", uidmap},
		{"mount", "mounting in a user namespace", "uidmap", mount},
		{"proc", "a /proc of its own", "mount", proc},
		{"overlay", "overlay file system in the store", "mount", overlay},
		{"store", "the store's disk", "", storeDisk},
		{"filter", "seccomp filters", "", filter},
		{"openat2", "system call openat2", "", openat2},
		{"subuid", "ranges of subordinate ids", "", subuid},
		{"cgroup", "caps of memory, processors and processes", "", limits},
		{"git", "git, for run --from", "", git},
	}
}

// read returns a file of /proc or /sys without the final newline; ok is false if there is none.
func (h *host) read(path string) (string, bool) {
	b, err := os.ReadFile(h.root + path)
	return strings.TrimSpace(string(b)), err == nil
}

func (h *host) number(path string) (int, bool) {
	s, _ := h.read(path)
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func kernel(_ context.Context, h *host) result {
	release, ok := h.read("/proc/sys/kernel/osrelease")
	if !ok {
		var u unix.Utsname
		if err := unix.Uname(&u); err != nil {
			return result{Warn, "the kernel does not say its version", ""}
		}
		release = unix.ByteSliceToString(u.Release[:])
	}
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return result{Warn, "cannot read the version: " + release, ""}
	}
	// 5.11 is the first with overlay in user namespaces, 5.12 the first with mount_setattr.
	if major < 5 || major == 5 && minor < 12 {
		return result{Fail, "this kernel is too old: " + release, "sandbox needs Linux 5.12 or newer"}
	}
	return result{OK, release, ""}
}

func nsLimit(_ context.Context, h *host) result {
	for _, kind := range []string{"user", "mnt", "pid", "ipc", "uts"} {
		n, ok := h.number("/proc/sys/user/max_" + kind + "_namespaces")
		if !ok {
			continue
		}
		key := "user.max_" + kind + "_namespaces"
		name := map[string]string{"mnt": "mount"}[kind]
		if name == "" {
			name = kind
		}
		switch {
		case n == 0:
			return result{Fail, "this host forbids " + name + " namespaces: " + key + " is 0", "sudo sysctl " + key + "=15000"}
		case n < 100:
			return result{Warn, fmt.Sprintf("%s is only %d", key, n), "sudo sysctl " + key + "=15000"}
		}
	}
	return result{OK, "as usual", ""}
}

// sysctl is Debian's own switch, which kernels of Debian before 11 and of Arch have.
func sysctl(_ context.Context, h *host) result {
	n, ok := h.number("/proc/sys/kernel/unprivileged_userns_clone")
	if ok && n == 0 && h.euid != 0 {
		return result{Fail, "this host forbids user namespaces: kernel.unprivileged_userns_clone is 0", "sudo sysctl kernel.unprivileged_userns_clone=1"}
	}
	return result{OK, "allowed", ""}
}

// chroot finds what the kernel calls current_chrooted: the root folder is not the root of the mount
// namespace. A root that is no mount is proof; whether one that is a mount is the right one, only root
// can find out.
func chroot(_ context.Context, h *host) result {
	var own unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_MNT_ID, &own); err != nil {
		return result{}
	}
	noMount := own.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT != 0 && own.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0
	if id, err := namespaceRoot(); noMount || h.euid == 0 && err == nil && id != own.Mnt_id {
		return result{Fail, "this process runs in a chroot, where the kernel refuses new user namespaces",
			"use a container, systemd-nspawn, or unshare and pivot_root in place of chroot"}
	}
	return result{OK, "the root of its mounts", ""}
}

// namespaceRoot is the id of the mount at the root of our mount namespace: joining the namespace that
// one is in leads there. It takes root, and a thread that is thrown away.
func namespaceRoot() (id uint64, err error) {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this function
		done <- func() error {
			ns, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(ns)
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return err
			}
			if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
				return err
			}
			var root unix.Statx_t
			err = unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_MNT_ID, &root)
			id = root.Mnt_id
			return err
		}()
	}()
	err = <-done
	return id, err
}

// unmapped: whoever has no id in the own namespace may not make another.
func unmapped(_ context.Context, h *host) result {
	m, ok := h.read("/proc/self/uid_map")
	if !ok {
		return result{}
	}
	for line := range strings.SplitSeq(m, "\n") {
		var in, out, n int
		if _, err := fmt.Sscan(line, &in, &out, &n); err == nil && h.euid >= in && h.euid < in+n {
			return result{OK, "has a meaning here", ""}
		}
	}
	return result{Fail, fmt.Sprintf("user id %d has no meaning in this container, so the kernel refuses user namespaces", h.euid), "run as a user that the container maps"}
}

func userns(_ context.Context, h *host) result {
	err := cloned(&syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS})
	const forbids = "this host forbids user namespaces: "
	switch {
	case err == nil:
		return result{OK, "works", ""}
	case errors.Is(err, syscall.ENOSPC):
		return result{Fail, forbids + "the limit of this host, or of the container around us, is reached", "sudo sysctl user.max_user_namespaces=15000"}
	case errors.Is(err, syscall.EUSERS):
		return result{Fail, forbids + "they are nested too deep", "run it in fewer containers within each other"}
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		return result{Fail, forbids + "the kernel is built without them", "use a kernel with CONFIG_USER_NS"}
	}
	if filtered(h) {
		return result{Fail, forbids + "a seccomp filter around this process refuses them", containerHint(h)}
	}
	if label, ok := h.read("/proc/self/attr/current"); ok && label != "" && label != "unconfined" {
		return result{Fail, forbids + "the security module refuses them to " + label, "ask the administrator to allow user namespaces for sandbox"}
	}
	if _, ok := h.read("/proc/self/status"); !ok {
		return result{Fail, forbids + err.Error() + ", and without /proc there is no telling why", "mount -t proc proc /proc"}
	}
	return result{Fail, forbids + err.Error(), "a chroot, a seccomp filter or a security module does this; run outside of it"}
}

// filtered reports whether a seccomp filter is already on this process.
func filtered(h *host) bool {
	status, _ := h.read("/proc/self/status")
	_, rest, ok := strings.Cut(status, "\nSeccomp:")
	line, _, _ := strings.Cut(rest, "\n")
	return ok && strings.TrimSpace(line) == "2"
}

// containerHint is how to allow it in the container around us.
func containerHint(h *host) string {
	if _, err := os.Stat(h.root + "/.dockerenv"); err == nil {
		return "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined …"
	}
	if _, err := os.Stat(h.root + "/run/.containerenv"); err == nil {
		return "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL …"
	}
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return "in the pod: hostUsers: false, securityContext: {seccompProfile: {type: Unconfined}, procMount: Unmasked}"
	}
	return "start the container around us without its seccomp filter"
}

// apparmor is Ubuntu's half denial: the namespace is made, but everything in it is refused.
func apparmor(ctx context.Context, h *host) result {
	n, ok := h.number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
	if !ok || n == 0 {
		return result{OK, "not in force", ""}
	}
	if r := mount(ctx, h); r.status != Fail {
		return result{OK, "in force, and sandbox is allowed", ""}
	}
	exe, err := os.Executable()
	if err != nil {
		exe = "/usr/local/bin/sandbox"
	}
	return result{Fail, "AppArmor forbids user namespaces: kernel.apparmor_restrict_unprivileged_userns is 1 and sandbox has no profile",
		`printf 'abi <abi/4.0>,\nprofile sandbox ` + exe + ` flags=(unconfined) {\n  userns,\n}\n' | sudo tee /etc/apparmor.d/sandbox && sudo apparmor_parser -r /etc/apparmor.d/sandbox`}
}

func uidmap(_ context.Context, _ *host) result {
	err := cloned(mapped(0))
	if err != nil {
		return result{Fail, "this host refuses to map one's own user id: " + err.Error(), "a security module or a container around us does this; run outside of it"}
	}
	return result{OK, "works", ""}
}

func mount(ctx context.Context, h *host) result {
	err := try(ctx, syscall.CLONE_NEWNS, "mount", os.TempDir())
	switch {
	case errors.Is(err, errNoChild):
		return result{Warn, err.Error(), ""}
	case err != nil && filtered(h):
		return result{Fail, "a seccomp filter around this process refuses mounts: " + err.Error(), containerHint(h)}
	case err != nil:
		return result{Fail, "this host refuses mounts in a user namespace: " + err.Error(), "a security module or a container around us does this; run outside of it"}
	}
	return result{OK, "works", ""}
}

// proc warns only: without a fresh /proc the host's is used, with all its processes.
func proc(ctx context.Context, h *host) result {
	err := try(ctx, syscall.CLONE_NEWNS|syscall.CLONE_NEWPID, "proc", os.TempDir())
	if err == nil {
		return result{OK, "works", ""}
	}
	detail := "not possible, that of the host is used: " + err.Error()
	if over := overmounts(h); len(over) > 0 {
		detail = "not possible, because something is mounted over " + strings.Join(over, ", ")
	}
	return result{Warn, detail, containerHint(h)}
}

// overmounts lists what hides parts of /proc from us; the kernel then refuses a /proc without them.
func overmounts(h *host) []string {
	info, _ := h.read("/proc/self/mountinfo")
	mounts, _ := mountinfo.GetMountsFromReader(strings.NewReader(info), nil)
	var over []string
	for _, m := range mounts {
		if strings.HasPrefix(m.Mountpoint, "/proc/") && filepath.Base(m.Mountpoint) != "binfmt_misc" {
			over = append(over, m.Mountpoint)
		}
	}
	return over
}
