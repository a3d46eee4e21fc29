package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

func TestAcquire(t *testing.T) {
	root, inv := newMachine(t, 3)
	roots, dir, ctx := rootsOf(root), filepath.Join(root, "run"), context.Background()
	pick := func(i int) gpu.Pick { return gpu.Pick{Device: inv.Devices[i]} }
	l, err := Acquire(ctx, roots, dir, []gpu.Pick{pick(2), pick(0)}, false)
	must(t, err)
	if n := len(l.Files()); n != 2 || !strings.Contains(l.Files()[0].Name(), inv.Devices[0].BDF) {
		t.Errorf("%d files, the first %s", n, l.Files()[0].Name())
	}
	for _, f := range l.Files() {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_GETFD, 0)
		if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
			t.Error("the payload would get it")
		}
	}
	for _, share := range []bool{false, true} {
		_, err = Acquire(ctx, roots, dir, []gpu.Pick{pick(1), pick(2)}, share)
		var busy *BusyError
		if !errors.As(err, &busy) || busy.ID != inv.Devices[2].UUID || !strings.Contains(busy.By, fmt.Sprintf("(pid %d, user ", os.Getpid())) {
			t.Fatalf("%#v", err)
		}
	}
	one, err := Acquire(ctx, roots, dir, []gpu.Pick{pick(1)}, false) // the failed ones have kept nothing
	must(t, err)
	must(t, one.Close())
	must(t, l.Close())
	must(t, l.Close())
	must(t, isFree(t, root, dir, inv))

	a, err := Acquire(ctx, roots, dir, []gpu.Pick{pick(0)}, true)
	must(t, err)
	b, err := Acquire(ctx, roots, dir, []gpu.Pick{pick(0)}, true)
	must(t, err)
	if err := isFree(t, root, dir, inv); err == nil || !strings.Contains(err.Error(), " and 1 more") {
		t.Errorf("two share it, and a third can have it alone: %v", err)
	}
	a.Close()
	b.Close()
	must(t, isFree(t, root, dir, inv))
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder was made for GPUs that have a file of their own")
	}
}

func TestHeld(t *testing.T) {
	root, inv := newMachine(t, 3)
	roots, dir, ctx := rootsOf(root), filepath.Join(root, "run"), context.Background()
	a, err := Acquire(ctx, roots, dir, []gpu.Pick{{Device: inv.Devices[0]}}, false)
	must(t, err)
	defer a.Close()
	b, err := Acquire(ctx, roots, dir, []gpu.Pick{{Device: inv.Devices[1]}}, true)
	must(t, err)
	defer b.Close()
	for i, want := range [][2]bool{{true, true}, {true, false}, {false, false}} {
		for k, share := range []bool{false, true} {
			by, held := Held(roots, dir, inv, share)(inv.Devices[i].UUID)
			if held != want[k] || held != strings.Contains(by, "pid") {
				t.Errorf("GPU %d, share %v: %v %q", i, share, held, by)
			}
		}
	}
	if _, held := Held(roots, dir, inv, false)("GPU-unknown"); held {
		t.Error("what is not there is held")
	}
}

// Slices: exclusive between the runs of a user, and each keeps the whole GPU from being taken.
func TestSlices(t *testing.T) {
	root, inv := newMachine(t, 1)
	d := &inv.Devices[0]
	d.MIGMode = true
	d.MIG = []gpu.MIG{{UUID: "MIG-aa", Profile: "1g.10gb"}, {UUID: "MIG-" + d.UUID + "/8/0", Profile: "1g.10gb"}}
	roots, dir, ctx := rootsOf(root), filepath.Join(root, "run/sandbox/gpu"), context.Background()
	slice := func(i int) []gpu.Pick { return []gpu.Pick{{Device: *d, MIG: &d.MIG[i]}} }
	a, err := Acquire(ctx, roots, dir, slice(0), false)
	must(t, err)
	b, err := Acquire(ctx, roots, dir, slice(1), false)
	must(t, err)
	defer b.Close()
	var busy *BusyError
	if _, err := Acquire(ctx, roots, dir, slice(0), false); !errors.As(err, &busy) || busy.ID != "MIG-aa" {
		t.Errorf("%#v", err)
	}
	if err := isFree(t, root, dir, inv); err == nil {
		t.Error("the GPU is taken whole while slices are used")
	}
	if _, held := Held(roots, dir, inv, false)("MIG-aa"); !held {
		t.Error("not held")
	}
	must(t, a.Close())
	if _, held := Held(roots, dir, inv, false)("MIG-aa"); held {
		t.Error("held")
	}
	both, err := Acquire(ctx, roots, dir, append(slice(0), gpu.Pick{Device: *d, MIG: &gpu.MIG{UUID: "MIG-bb"}}), false)
	must(t, err)
	if len(both.Files()) != 3 {
		t.Errorf("%d files", len(both.Files()))
	}
	must(t, both.Close())
	if fi, err := os.Stat(dir); err != nil || fi.Mode().Perm() != 0o700 {
		t.Error(fi, err)
	}
	whole, err := Acquire(ctx, roots, t.TempDir(), []gpu.Pick{{Device: gpu.Device{UUID: "GPU-wsl", BDF: "0000:01:00.0"}}}, false)
	must(t, err) // no such device in sysfs: WSL2
	must(t, whole.Close())
	for _, id := range []string{"", "..", "MIG-\x00", strings.Repeat("x", 200)} {
		if _, err := Acquire(ctx, roots, dir, []gpu.Pick{{Device: *d, MIG: &gpu.MIG{UUID: id}}}, false); err == nil {
			t.Errorf("%q became a file", id)
		}
	}
}

// Somebody put a link, a pipe or a folder where the lock of a slice has to be.
func TestHostileFolder(t *testing.T) {
	root, inv := newMachine(t, 1)
	dir := filepath.Join(root, "run")
	must(t, os.Mkdir(dir, 0o700))
	secret := filepath.Join(root, "secret")
	must(t, os.WriteFile(secret, []byte("x"), 0o600))
	must(t, os.Symlink(secret, filepath.Join(dir, "MIG-link")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "MIG-pipe"), 0o600))
	must(t, os.Mkdir(filepath.Join(dir, "MIG-folder"), 0o700))
	for _, id := range []string{"MIG-link", "MIG-folder"} {
		_, err := Acquire(context.Background(), rootsOf(root), dir, []gpu.Pick{{Device: inv.Devices[0], MIG: &gpu.MIG{UUID: id}}}, false)
		if err == nil || errors.As(err, new(*BusyError)) {
			t.Errorf("%s: %v", id, err)
		}
	}
	l, err := Acquire(context.Background(), rootsOf(root), dir, []gpu.Pick{{Device: inv.Devices[0], MIG: &gpu.MIG{UUID: "MIG-pipe"}}}, false)
	if err == nil {
		l.Close() // a pipe can be locked, and it did not block
	}
	must(t, isFree(t, root, dir, inv))
}

func TestLeaseDiesWithItsProcess(t *testing.T) {
	root, inv := newMachine(t, 2)
	dir := filepath.Join(root, "run")
	p := start(t, binary(t), "hold", nil, nil, root, dir, "2")
	p.want("took " + inv.Devices[0].UUID + " " + inv.Devices[1].UUID)
	err := isFree(t, root, dir, inv)
	var busy *BusyError
	if !errors.As(err, &busy) || !strings.Contains(busy.By, fmt.Sprintf("lease.test %s %s 2 (pid %d, user ", root, dir, p.cmd.Process.Pid)) {
		t.Errorf("%v", err)
	}
	p.kill()
	must(t, isFree(t, root, dir, inv))
}

func TestPayloadHasNoLease(t *testing.T) {
	root, inv := newMachine(t, 1)
	p := start(t, binary(t), "exec", nil, nil, root, filepath.Join(root, "run"), "1")
	p.want("took " + inv.Devices[0].UUID)
	p.want("payload has 0")
	p.release()
	must(t, isFree(t, root, filepath.Join(root, "run"), inv))
}

// Between users, on a tree of our own and on the machine's sysfs.
func TestLeaseHoldsBetweenUsers(t *testing.T) {
	testenv.Need(t, "users")
	bin := binary(t)
	root, inv := newMachine(t, 2)
	real, realInv := newMachine(t, 0)
	devices, err := os.ReadDir("/sys/bus/pci/devices")
	must(t, err)
	must(t, os.RemoveAll(filepath.Join(real, "sys")))
	must(t, os.Symlink("/sys", filepath.Join(real, "sys")))
	if len(devices) > 0 {
		realInv.Devices = []gpu.Device{{UUID: "GPU-00", BDF: devices[0].Name(), Name: "a real device of sysfs"}}
		writeMachine(t, real, realInv)
		// Another run of this test, in another checkout, wants the same file of the machine.
		turn, err := os.Open(filepath.Join("/sys/bus/pci/devices", devices[0].Name(), "class"))
		must(t, err)
		defer turn.Close()
		must(t, flock(turn, syscall.LOCK_EX))
	}
	for _, m := range []struct {
		root string
		inv  gpu.Inventory
	}{{root, inv}, {real, realInv}} {
		if len(m.inv.Devices) == 0 {
			t.Log("no PCI devices on this machine: the real sysfs was not tried")
			continue
		}
		tester, plain := testenv.As(t, testenv.WithSubuid), testenv.As(t, testenv.WithoutSubuid)
		first := start(t, bin, "hold", tester, nil, m.root, tester.Home+"/run", "all")
		first.want("took " + m.inv.Devices[0].UUID)
		second := start(t, bin, "hold", plain, nil, m.root, plain.Home+"/run", "1")
		if got := second.want("error"); !strings.Contains(got, "leased by lease.test") || !strings.Contains(got, fmt.Sprintf("(pid %d, user tester)", first.cmd.Process.Pid)) {
			t.Errorf("%q", got)
		}
		first.release()
		third := start(t, bin, "hold", plain, nil, m.root, plain.Home+"/run", "1")
		third.want("took " + m.inv.Devices[0].UUID)
		if err := isFree(t, m.root, t.TempDir(), m.inv); err == nil || !strings.Contains(err.Error(), "user plain") {
			t.Errorf("root: %v", err)
		}
		third.kill()
		must(t, isFree(t, m.root, t.TempDir(), m.inv))
	}
}

// A sandbox started inside a sandbox has namespaces of its own; it cannot see who holds, but that.
func TestLeaseHoldsBetweenNamespaces(t *testing.T) {
	testenv.Need(t, "userns")
	bin := binary(t)
	root, inv := newMachine(t, 1)
	inside := []string{"unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--ipc"}
	dir := filepath.Join(root, "run")
	outer := start(t, bin, "hold", nil, nil, root, dir, "1")
	outer.want("took")
	inner := start(t, bin, "hold", nil, inside, root, dir, "1")
	if got := inner.want("error"); !strings.Contains(got, "leased by another run") {
		t.Errorf("%q", got)
	}
	outer.release()
	inner = start(t, bin, "hold", nil, inside, root, dir, "1")
	inner.want("took")
	if err := isFree(t, root, dir, inv); err == nil || !strings.Contains(err.Error(), "leased by lease.test") {
		t.Errorf("%v", err)
	}
	inner.release()
	must(t, isFree(t, root, dir, inv))
}

func TestWaitEndsByRelease(t *testing.T) {
	root, inv := newMachine(t, 2)
	dir := filepath.Join(root, "run")
	bin := binary(t)
	holder := start(t, bin, "hold", nil, nil, root, dir, "2")
	holder.want("took")
	waiter := start(t, bin, "hold", nil, nil, root, dir, "2,wait=1m")
	if got := waiter.want("notice waiting for up to 1m0s: --gpus 2,wait=1m: all 2 GPUs that fit are in use: GPU 0 is leased by lease.test"); !strings.Contains(got, "(pid ") {
		t.Error(got)
	}
	holder.kill()
	waiter.want("took " + inv.Devices[0].UUID + " " + inv.Devices[1].UUID) // it reads the GPUs once an hour only
	waiter.release()
}
