package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// CgroupMount is where the whole of cgroup v2 is mounted, "" for nowhere.
func CgroupMount() string {
	mounts, _ := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup2"))
	for _, m := range mounts {
		if m.Root == "/" {
			return m.Mountpoint
		}
	}
	return ""
}

// probeGroups makes a group at the top.
func probeGroups() error {
	mount := CgroupMount()
	if mount == "" {
		return errors.New("no cgroup v2 is mounted")
	}
	dir, err := os.MkdirTemp(mount, "probe-")
	if err != nil {
		return err
	}
	return os.Remove(dir)
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
