package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is the machine whose groups are looked at. Root is "" for the real one, a folder of files in tests.
type Host struct {
	Root string
	made func(dir string) // for tests: puts into a new folder what the kernel would
}

// parents are the groups that a new one could be made in: our own, then those that it lies in, as far as this
// user may write there. why says in words why there is none.
func (h Host) parents() (dirs []string, why string) {
	own, ok := h.own()
	if !ok {
		return nil, "the kernel has no cgroup v2"
	}
	mount, root := h.mount()
	if mount == "" {
		return nil, "no cgroup v2 is mounted"
	}
	rel, err := filepath.Rel(root, own)
	if err != nil || !filepath.IsLocal(rel) {
		return nil, "our cgroup lies outside of what is mounted: " + own
	}
	for ; ; rel = filepath.Dir(rel) {
		if dir := filepath.Join(h.Root, mount, rel); writable(dir) {
			dirs = append(dirs, dir)
		}
		if rel == "." {
			break
		}
	}
	if len(dirs) == 0 {
		return nil, "our cgroup is not delegated to us: " + own
	}
	return dirs, ""
}

// own is the path of our group in version 2.
func (h Host) own() (string, bool) {
	b, _ := os.ReadFile(h.Root + "/proc/self/cgroup")
	for line := range strings.SplitSeq(string(b), "\n") {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return path, true
		}
	}
	return "", false
}

// writable: a process is moved by whoever may write the cgroup.procs of where it goes and of the group that
// both places lie in.
func writable(dir string) bool {
	return unix.Access(dir, unix.W_OK) == nil && unix.Access(filepath.Join(dir, "cgroup.procs"), unix.W_OK) == nil
}

// words are the controllers that a file of a group lists.
func words(dir, file string) []string {
	b, _ := os.ReadFile(filepath.Join(dir, file))
	return strings.Fields(string(b))
}

// choose gives the group in which most of the wanted controllers are on, or can be switched on, the nearest
// first, and those controllers.
func choose(dirs, wanted []string) (best string, on []string) {
	for _, enable := range []bool{false, true} {
		for _, dir := range dirs {
			have := both(wanted, words(dir, "cgroup.subtree_control"))
			if enable && len(have) < len(both(wanted, words(dir, "cgroup.controllers"))) {
				have = switchOn(dir, wanted)
			}
			if len(have) > len(on) {
				best, on = dir, have
			}
		}
		if len(on) == len(wanted) {
			break
		}
	}
	return best, on
}

// switchOn gives the controllers that are on in a group after those that can be were switched on, one by one: of
// several in one write, one that is refused would keep the others out.
func switchOn(dir string, wanted []string) []string {
	for _, c := range both(wanted, words(dir, "cgroup.controllers")) {
		_ = write(dir, "cgroup.subtree_control", "+"+c) // busy, or not ours: what is on is read below
	}
	return both(wanted, words(dir, "cgroup.subtree_control"))
}

// both are the words of a that are in b.
func both(a, b []string) (out []string) {
	for _, s := range a {
		if slices.Contains(b, s) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func write(dir, file, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
