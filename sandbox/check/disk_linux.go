package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/4cc2e759/sandbox/images/store"
	"github.com/4cc2e759/sandbox/sandbox/internal/cgroup"
)

// existing is the store's folder, or the nearest one above it that is there: a store that is to be
// made will be on the same disk.
func (h *host) existing() string {
	dir := filepath.Clean(h.store)
	for dir != "/" && dir != "." {
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func overlay(ctx context.Context, h *host) result {
	if h.store == "" {
		return result{}
	}
	tmp, err := os.MkdirTemp(h.existing(), ".sandbox-check-")
	if (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) && h.filled() {
		return result{Warn, "the store cannot be written: what is in it runs, nothing is kept or added: " + h.store, beside(h.store)}
	}
	if err != nil {
		return result{Fail, "the store's folder cannot be written: " + err.Error(), "export SANDBOX_STORE=/a/folder/of/yours"}
	}
	defer removeTree(tmp)
	const elsewhere = "export SANDBOX_STORE=/a/folder/on/a/local/disk"
	err = try(ctx, syscall.CLONE_NEWNS, "overlay", tmp)
	var r *refused
	switch {
	case err == nil:
		return result{OK, "works in " + h.store, ""}
	case errors.Is(err, errNoChild):
		return result{Warn, err.Error(), ""}
	case errors.As(err, &r) && r.errno == syscall.ENODEV:
		return result{Fail, "this kernel has no overlay file system", "sudo modprobe overlay"}
	}
	if err := unix.Setxattr(tmp, "user.sandbox", []byte("1"), 0); err != nil {
		return result{Fail, fmt.Sprintf("the file system of %s keeps no extended attributes: %v", h.store, err), elsewhere}
	}
	return result{Fail, fmt.Sprintf("no overlay file system in %s: %v", h.store, err), elsewhere}
}

// filled tells whether the store is there and has something in it, so that it is of use as it is.
func (h *host) filled() bool {
	_, err := os.Stat(filepath.Join(h.store, store.Layers))
	return err == nil
}

// beside is how to have a store of one's own, with what is in another.
func beside(store string) string {
	return `export SANDBOX_STORE=/a/folder/of/yours, and stores = ["` + store + `"] in the user's config.toml`
}

// removeTree is os.RemoveAll that opens the kernel's own work folder, which has mode 0000.
func removeTree(dir string) {
	_ = filepath.WalkDir(filepath.Join(dir, "work"), func(p string, d os.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(p, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

// enough is what the smallest useful environment takes.
const enough = 1 << 30

func storeDisk(_ context.Context, h *host) result {
	if h.store == "" {
		return result{}
	}
	dir := h.existing()
	// The store's own verdict on the file system; in this mode it makes nothing.
	var unfit *store.FilesystemError
	var newer *store.FormatError
	_, err := store.Open(dir, store.Options{Fast: true})
	if err == nil {
		err = store.Probe(dir)
	}
	switch {
	case errors.As(err, &unfit) && unfit.Usable:
		return result{Warn, unfit.Error(), unfit.Hint()}
	case errors.As(err, &unfit):
		return result{Fail, unfit.Error(), unfit.Hint()}
	case errors.As(err, &newer):
		return result{Fail, newer.Error(), newer.Hint()}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return result{Fail, fmt.Sprintf("statfs %s: %v", dir, err), ""}
	}
	free := st.Bavail * uint64(st.Bsize)
	gib := fmt.Sprintf("%.1f GiB free in %s", float64(free)/(1<<30), h.store)
	switch {
	case st.Flags&unix.ST_RDONLY != 0 && h.filled():
		return result{Warn, "the store's disk is mounted read-only: what is in it runs, nothing is kept or added: " + h.store, beside(h.store)}
	case st.Flags&unix.ST_RDONLY != 0:
		return result{Fail, "the store's disk is mounted read-only: " + h.store, "export SANDBOX_STORE=/a/folder/of/yours"}
	case st.Flags&unix.ST_NOEXEC != 0:
		return result{Fail, "the store's disk is mounted noexec, so no program of an image could run: " + h.store, "export SANDBOX_STORE=/a/folder/on/another/disk"}
	case st.Files > 0 && st.Ffree < 10000:
		return result{Warn, fmt.Sprintf("only %d files more fit on the store's disk: %s", st.Ffree, h.store), "sandbox gc"}
	case free < enough:
		return result{Warn, "only " + gib, "sandbox gc"}
	}
	return result{OK, gib, ""}
}

func filter(ctx context.Context, _ *host) result {
	err := try(ctx, 0, "filter")
	var r *refused
	switch {
	case err == nil:
		return result{OK, "can be loaded", ""}
	case errors.As(err, &r) && r.what == "clone":
		return result{} // the probe of user namespaces has said it
	case errors.Is(err, errNoChild):
		return result{Warn, err.Error(), ""}
	}
	return result{Fail, "this host refuses seccomp filters: " + err.Error(), "use a kernel with CONFIG_SECCOMP_FILTER"}
}

// openat2 is refused with EPERM by seccomp filters that are older than it.
func openat2(_ context.Context, h *host) result {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC})
	if err != nil {
		return result{Fail, "system call openat2 is refused: " + err.Error(), containerHint(h)}
	}
	_ = unix.Close(fd)
	return result{OK, "works", ""}
}

// subuid is for information: only ids = "subuid" needs it.
func subuid(_ context.Context, h *host) result {
	const only = `; only ids = "subuid" needs it`
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return result{OK, "no " + tool + only, ""}
		}
	}
	u, err := user.Current()
	if err != nil {
		return result{OK, "not known" + only, ""}
	}
	table, _ := h.read("/etc/subuid")
	for line := range strings.SplitSeq(table, "\n") {
		if f := strings.Split(line, ":"); len(f) == 3 && (f[0] == u.Username || f[0] == u.Uid) {
			return result{OK, fmt.Sprintf("%s ids from %s", f[2], f[1]), ""}
		}
	}
	return result{OK, "none for " + u.Username + only, ""}
}

// limits makes a group with every cap and takes it away again. It is for information: only a project with [limits]
// asks for one.
func limits(_ context.Context, h *host) result {
	caps := slices.Concat(cgroup.Memory(1<<40), cgroup.CPUs(1024), cgroup.Pids(1<<20))
	g, missing, why := cgroup.Host{Root: h.root}.New(caps)
	if g != nil {
		defer g.Remove()
	}
	if len(missing) == 0 {
		return result{OK, "memory, cpus and pids can be capped", ""}
	}
	detail := "[limits] " + strings.Join(missing, ", ") + " would not be enforced: " + why
	if _, err := os.Stat(h.root + "/run/systemd/system"); err == nil && h.euid != 0 {
		detail += "; they may be in a scope of your own: systemd-run --user --scope sandbox run …"
	}
	return result{OK, detail, ""}
}

func git(_ context.Context, _ *host) result {
	p, err := exec.LookPath("git")
	if err != nil {
		return result{Warn, "not on PATH, so run --from cannot fetch", "sudo apt-get install git"}
	}
	return result{OK, p, ""}
}
