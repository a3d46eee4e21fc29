package testenv

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk is an ext4 file system in a file: a disk whose power can go at any moment. See the condition "loop".
type Disk struct{ File string }

// NewDisk makes an empty one of so many MiB.
func NewDisk(t testing.TB, file string, mib int64) Disk {
	t.Helper()
	if err := makeDisk(file, mib); err != nil {
		t.Fatal(err)
	}
	return Disk{file}
}

// makeDisk leaves nothing that the kernel would do later, while nobody writes.
func makeDisk(file string, mib int64) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(mib<<20), f.Close()); err != nil {
		return err
	}
	return output(exec.Command("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", file))
}

// Mount mounts the disk on the folder dir, which is made, with further options of ext4. It stays until unmount is
// called or the test ends.
func (d Disk) Mount(t testing.TB, dir, options string) (unmount func()) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if options != "" {
		options = "," + options
	}
	if err := output(exec.Command("mount", "-t", "ext4", "-o", "loop"+options, d.File, dir)); err != nil {
		t.Fatal(err)
	}
	mounted := true
	unmount = func() {
		if !mounted {
			return
		}
		mounted = false
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
	t.Cleanup(unmount)
	return unmount
}

// Cut copies what a power cut would leave: what has reached the disk, and nothing of what the kernel still keeps in
// memory. The copy is of one moment, because a second look finds the same; so whoever writes has to wait meanwhile.
func (d Disk) Cut(t testing.TB, file string) Disk {
	t.Helper()
	for range 200 {
		first, err := os.ReadFile(d.File)
		second, again := os.ReadFile(d.File)
		if err := errors.Join(err, again); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			continue
		}
		if err := os.WriteFile(file, first, 0o600); err != nil {
			t.Fatal(err)
		}
		return Disk{file}
	}
	t.Fatalf("%s is never still", d.File)
	return Disk{}
}

const ownMountsVar = "SANDBOX_TEST_OWN_MOUNTS"

// OwnMounts runs the calling test once more, in a process with mounts of its own, which are gone when it ends in
// whatever way; what it finds is reported here. Only in that process it returns true. It takes root.
func OwnMounts(t *testing.T) (inside bool) {
	t.Helper()
	if os.Getenv(ownMountsVar) == t.Name() {
		return true
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", exe, "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), ownMountsVar+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Errorf("with mounts of its own: %v\n%s", err, out)
	} else {
		t.Logf("%s", out)
	}
	return false
}

// probeLoop mounts a disk in a file; the mount ends with the process that made it.
func probeLoop() error {
	if err := errors.Join(probeRoot(), programs("mkfs.ext4", "mount", "unshare")()); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "loop")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	disk, at := filepath.Join(dir, "disk"), filepath.Join(dir, "at")
	if err := errors.Join(makeDisk(disk, 16), os.Mkdir(at, 0o755)); err != nil {
		return err
	}
	return output(exec.Command("unshare", "--mount", "--propagation", "private", "mount", "-t", "ext4", "-o", "loop", disk, at))
}
