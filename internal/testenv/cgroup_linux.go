package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// CgroupMount is where the whole of cgroup v2 is mounted, "" for nowhere.
func CgroupMount() string {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.SplitSeq(string(b), "\n") {
		head, tail, _ := strings.Cut(line, " - ")
		if f := strings.Fields(head); len(f) > 4 && f[3] == "/" && strings.HasPrefix(tail, "cgroup2 ") {
			return f[4]
		}
	}
	return ""
}

// probeCgroup makes a group at the top, where root may, that has controllers, these among them.
func probeCgroup(controllers ...string) error {
	mount := CgroupMount()
	if mount == "" {
		return errors.New("no cgroup v2 is mounted")
	}
	dir, err := os.MkdirTemp(mount, "probe-")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	have := strings.Fields(string(b))
	for _, c := range controllers {
		if !slices.Contains(have, c) {
			return fmt.Errorf("no controller %s", c)
		}
	}
	if len(have) == 0 {
		return errors.New("no controller is switched on")
	}
	return nil
}
