package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// devicesDir is where the controller of devices (cgroup v1) is mounted.
const devicesDir = "/sys/fs/cgroup/devices"

func probeDevices() error {
	if err := probeRoot(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(devicesDir, "sandbox-test-")
	if err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(dir, "devices.deny"), []byte("c 195:* rwm"), 0)
	return errors.Join(err, os.Remove(dir))
}

// WithoutDevices gives the cgroup.procs file of a device cgroup in which what deny says ("c 195:* rwm")
// is forbidden: a process that writes 0 to it goes in. The cgroup ends with the test. See the condition
// "devcgroup".
func WithoutDevices(t testing.TB, deny string) string {
	t.Helper()
	dir, err := os.MkdirTemp(devicesDir, "sandbox-test-")
	if err == nil {
		t.Cleanup(func() { removeCgroup(t, dir) })
		err = os.WriteFile(filepath.Join(dir, "devices.deny"), []byte(deny), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "cgroup.procs")
}

// removeCgroup waits a little: a process that was reaped leaves its cgroup a moment later.
func removeCgroup(t testing.TB, dir string) {
	var err error
	for range 200 {
		if err = os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error(err)
}

// EnterCgroup moves this process into a cgroup.
func EnterCgroup(procs string) error {
	if err := os.WriteFile(procs, []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return fmt.Errorf("enter the cgroup: %w", err)
	}
	return nil
}
