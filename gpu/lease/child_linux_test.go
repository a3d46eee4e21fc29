package lease

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/testenv"
)

// The test binary is its own other user: with this variable it does one thing and ends.
const childVar = "SANDBOX_LEASE_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childVar); role != "" {
		os.Exit(child(role, os.Args[1], os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

// child takes what req wants on the machine below root. It prints "took ID…" and holds until its standard
// input ends, or prints what is wrong.
func child(role, root, dir, req string) int {
	r, err := gpu.Parse(req)
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	probe := func(context.Context) (gpu.Inventory, error) { return readMachine(root) }
	roots := rootsOf(root)
	if role == "loop" {
		return loop(r, probe, roots, root, dir)
	}
	notice := func(text string) { fmt.Println("notice", text) }
	picks, l, err := Take(context.Background(), r, probe, Options{Roots: roots, Dir: dir, Notice: notice, Probing: time.Hour})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("took", ids(picks))
	if role == "exec" { // what a payload would get
		out, _ := exec.Command("/bin/sh", "-c", "ls -l /proc/$$/fd | grep -c vendor").Output()
		fmt.Printf("payload has %s\n", strings.TrimSpace(string(out)))
	}
	io.Copy(io.Discard, os.Stdin)
	if err := l.Close(); err != nil {
		return 1
	}
	fmt.Println("gave back")
	return 0
}

// loop takes and gives back many times, and proves each time that nobody else has the same: a file of
// the GPU's name can be made by one only.
func loop(r gpu.Request, probe func(context.Context) (gpu.Inventory, error), roots gpu.Roots, root, dir string) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 60 {
		picks, l, err := Take(ctx, r, probe, Options{Roots: roots, Dir: dir})
		if err != nil {
			fmt.Println("error", err)
			return 1
		}
		for _, p := range picks {
			f, err := os.OpenFile(filepath.Join(root, "used", p.ID()), os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				fmt.Println("error overlap:", err)
				return 1
			}
			f.Close()
		}
		time.Sleep(time.Millisecond)
		for _, p := range picks {
			os.Remove(filepath.Join(root, "used", p.ID()))
		}
		l.Close()
	}
	fmt.Println("done")
	return 0
}

func rootsOf(root string) gpu.Roots {
	return gpu.Roots{FS: root, Dev: root + "/dev", Sys: root + "/sys", Proc: "/proc"}
}

func ids(picks []gpu.Pick) string {
	var out []string
	for _, p := range picks {
		out = append(out, p.ID())
	}
	return strings.Join(out, " ")
}

// newMachine makes a sysfs tree with n GPUs as the kernel has it, and what probing gives.
func newMachine(t *testing.T, n int) (root string, inv gpu.Inventory) {
	t.Helper()
	root = testenv.PublicDir(t)
	inv = gpu.Inventory{Source: "nvml"}
	for i := range n {
		bdf := fmt.Sprintf("0000:%02x:00.0", 0x3b+i)
		inv.Devices = append(inv.Devices, gpu.Device{
			Index: i, Minor: i, UUID: fmt.Sprintf("GPU-%08x-0000-4000-8000-000000000000", 0xa0+i), BDF: bdf, Name: "NVIDIA H100", NUMA: -1,
			Memory: gpu.Memory{Total: 80 << 30, Free: 79 << 30},
		})
		real := filepath.Join(root, "sys/devices/pci0000:00", bdf)
		must(t, os.MkdirAll(real, 0o755))
		must(t, os.WriteFile(filepath.Join(real, "vendor"), []byte("0x10de\n"), 0o444))
		must(t, os.MkdirAll(filepath.Join(root, "sys/bus/pci/devices"), 0o755))
		must(t, os.Symlink("../../../devices/pci0000:00/"+bdf, filepath.Join(root, "sys/bus/pci/devices", bdf)))
	}
	writeMachine(t, root, inv)
	return root, inv
}

func writeMachine(t *testing.T, root string, inv gpu.Inventory) {
	t.Helper()
	b, err := json.Marshal(inv)
	must(t, err)
	tmp := filepath.Join(root, "inventory.new")
	must(t, os.WriteFile(tmp, b, 0o644))
	must(t, os.Rename(tmp, filepath.Join(root, "inventory.json")))
}

func readMachine(root string) (inv gpu.Inventory, err error) {
	b, err := os.ReadFile(filepath.Join(root, "inventory.json"))
	if err != nil {
		return inv, err
	}
	return inv, json.Unmarshal(b, &inv)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A process that holds something, until release or kill.
type worker struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

// binary is a copy of this test that everybody can execute.
func binary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	to := filepath.Join(testenv.PublicDir(t), "lease.test")
	b, err := os.ReadFile(self)
	must(t, err)
	must(t, os.WriteFile(to, b, 0o755))
	return to
}

// start runs the child as a user ("" is us), behind the words of prefix, and waits for nothing.
func start(t *testing.T, bin, role string, u *testenv.User, prefix []string, root, dir, req string) *worker {
	t.Helper()
	args := append(append([]string{}, prefix...), bin, root, dir, req)
	var cmd *exec.Cmd
	if u == nil {
		cmd = exec.Command(args[0], args[1:]...)
		cmd.Env = os.Environ()
	} else {
		cmd = u.Command(args[0], args[1:]...)
	}
	cmd.Env = append(cmd.Env, childVar+"="+role)
	cmd.Stderr = os.Stderr
	p := &worker{t: t, cmd: cmd}
	var err error
	p.stdin, err = cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	p.lines = bufio.NewScanner(out)
	must(t, cmd.Start())
	t.Cleanup(p.kill)
	return p
}

// line is the next line that the child says.
func (p *worker) line() string {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatal("the child says nothing")
	}
	return p.lines.Text()
}

func (p *worker) want(prefix string) string {
	p.t.Helper()
	got := p.line()
	if !strings.HasPrefix(got, prefix) {
		p.t.Fatalf("the child says %q, want %q", got, prefix)
	}
	return got
}

func (p *worker) release() {
	p.t.Helper()
	p.stdin.Close()
	p.want("gave back")
	must(p.t, p.cmd.Wait())
}

// kill is kill -9; it returns when the process is gone.
func (p *worker) kill() {
	if p.cmd.ProcessState == nil {
		p.cmd.Process.Kill()
		p.cmd.Wait()
	}
}

// isFree tells whether a run of our own could have all GPUs now.
func isFree(t *testing.T, root, dir string, inv gpu.Inventory) error {
	t.Helper()
	var picks []gpu.Pick
	for _, d := range inv.Devices {
		picks = append(picks, gpu.Pick{Device: d})
	}
	l, err := Acquire(context.Background(), rootsOf(root), dir, picks, false)
	if err != nil && !errors.As(err, new(*BusyError)) {
		t.Fatal(err)
	}
	if err == nil {
		l.Close()
	}
	return err
}
