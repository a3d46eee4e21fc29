package cgroup

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Cap is one cap: Value is written to File, which Controller provides.
type Cap struct {
	Name       string // as the user calls it: "memory"
	Controller string
	File       string
	Value      string
	Optional   bool // the kernel may lack the file
}

// Memory caps memory in bytes. There is no swapping instead.
func Memory(bytes int64) []Cap {
	return []Cap{
		{Name: "memory", Controller: "memory", File: "memory.max", Value: strconv.FormatInt(bytes, 10)},
		{Name: "memory", Controller: "memory", File: "memory.swap.max", Value: "0", Optional: true},
	}
}

// CPUs caps the processor time to that of n processors.
func CPUs(n float64) []Cap {
	const period = 100000 // microseconds; the kernel's least quota is 1000
	quota := max(int64(n*period), 1000)
	return []Cap{{Name: "cpus", Controller: "cpu", File: "cpu.max", Value: fmt.Sprint(quota, " ", period)}}
}

// Pids caps the number of processes and threads; the sandbox's own first process is not counted.
func Pids(n int) []Cap {
	return []Cap{{Name: "pids", Controller: "pids", File: "pids.max", Value: strconv.Itoa(n + 1)}}
}

// Group is a group for one sandbox. It is locked, so that nobody takes it for one that was left behind.
type Group struct {
	dir  string
	file *os.File
}

// prefix of the folders that are ours.
const prefix = "sandbox-"

// New makes a group with as many of the caps as this host lets us set. missing are the names of the others, and
// why is the reason in words. The group is nil if no cap can be set.
func (h Host) New(caps []Cap) (g *Group, missing []string, why string) {
	var wanted []string
	for _, c := range caps {
		if !slices.Contains(wanted, c.Controller) {
			wanted = append(wanted, c.Controller)
		}
	}
	dirs, why := h.parents()
	parent, on := choose(dirs, wanted)
	if parent != "" {
		sweep(parent)
		var err error
		if g, err = h.create(parent); err != nil {
			g, on, why = nil, nil, err.Error()
		}
	}
	for _, c := range caps {
		if slices.Contains(on, c.Controller) {
			err := write(g.dir, c.File, c.Value)
			if err == nil || c.Optional && errors.Is(err, os.ErrNotExist) {
				continue
			}
			why = err.Error()
		}
		if !slices.Contains(missing, c.Name) {
			missing = append(missing, c.Name)
		}
	}
	if len(missing) > 0 && why == "" {
		why = "controllers that can be used here: " + listed(on)
	}
	if g != nil && len(on) == 0 {
		g.Remove()
		g = nil
	}
	return g, missing, why
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}

// create makes a group and locks it. Between the two, another process may take it for one that was left behind.
func (h Host) create(parent string) (*Group, error) {
	for try := 0; ; try++ {
		dir := filepath.Join(parent, prefix+strconv.FormatUint(rand.Uint64(), 36))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
		if h.made != nil {
			h.made(dir)
		}
		f, err := lock(dir)
		if err == nil {
			return &Group{dir, f}, nil
		}
		if try == 10 {
			return nil, err
		}
	}
}

// lock opens a group's folder and takes its lock.
func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	a, err := f.Stat()
	if err == nil {
		var b os.FileInfo
		if b, err = os.Stat(dir); err == nil && !os.SameFile(a, b) {
			err = os.ErrNotExist
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// sweep removes groups whose owner was killed before it could. The kernel keeps those with processes in them.
func sweep(parent string) {
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !e.IsDir() {
			continue
		}
		dir := filepath.Join(parent, e.Name())
		if f, err := lock(dir); err == nil {
			syscall.Rmdir(dir)
			f.Close()
		}
	}
}

// File is the group's folder, for a process to start in. It is open until Remove.
func (g *Group) File() *os.File { return g.file }

// Killed tells how many processes the kernel has ended since they wanted more memory than the cap.
func (g *Group) Killed() int {
	b, _ := os.ReadFile(filepath.Join(g.dir, "memory.events"))
	for line := range strings.SplitSeq(string(b), "\n") {
		if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
			v, _ := strconv.Atoi(n)
			return v
		}
	}
	return 0
}

// Remove takes the group away once its processes are gone. The kernel may need a moment after the last.
func (g *Group) Remove() error {
	defer g.file.Close()
	for wait := time.Millisecond; ; wait *= 2 {
		err := syscall.Rmdir(g.dir)
		if !errors.Is(err, syscall.EBUSY) || wait > 200*time.Millisecond {
			if err != nil && !errors.Is(err, syscall.ENOENT) {
				return &os.PathError{Op: "remove", Path: g.dir, Err: err}
			}
			return nil
		}
		time.Sleep(wait)
	}
}
