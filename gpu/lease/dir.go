//go:build unix

package lease

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Dir is where this user's runs keep the locks of what has no file in sysfs: below XDG_RUNTIME_DIR, or where
// systemd makes that folder, so that all of them meet there, whatever store they use; else fallback. A
// folder that others may write to, or own, is passed over: who has the file could keep the lock for ever.
func Dir(environ map[string]string, fallback string) string {
	uid := os.Getuid()
	for _, run := range []string{environ["XDG_RUNTIME_DIR"], filepath.Join("/run/user", strconv.Itoa(uid))} {
		if fi, err := os.Lstat(run); filepath.IsAbs(run) && err == nil && fi.IsDir() && fi.Mode().Perm()&0o022 == 0 {
			if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) == uid {
				return filepath.Join(run, "sandbox", "gpu")
			}
		}
	}
	return fallback
}
