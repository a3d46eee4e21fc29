package probe

import (
	"os"
	"os/exec"
	"path/filepath"
)

// HelperVar names the variable with the path of sandbox-gpu-probe; "none" is to do without.
const HelperVar = "SANDBOX_GPU_PROBE"

const helperName = "sandbox-gpu-probe"

// FindHelper looks for sandbox-gpu-probe: [HelperVar], beside the running program (links followed), in the
// libexec folder of an installation, on PATH. "" is not found.
func FindHelper() string {
	if p := os.Getenv(HelperVar); p != "" {
		return absolute(p)
	}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir := filepath.Dir(exe)
		for _, p := range []string{filepath.Join(dir, helperName), filepath.Join(filepath.Dir(dir), "libexec/sandbox", helperName)} {
			if isFile(p) {
				return p
			}
		}
	}
	if p, err := exec.LookPath(helperName); err == nil {
		return p
	}
	return ""
}

// absolute makes a path or a name on PATH independent of the folder that the child starts in. What cannot
// be found stays as it is, for the error to name it.
func absolute(p string) string {
	if p == NoHelper {
		return p
	}
	if filepath.Base(p) == p {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	if a, err := filepath.Abs(p); err == nil {
		return a
	}
	return p
}

// childEnv is the child's environment: nothing of the caller's, whose LD_PRELOAD and the like are meant for
// other programs. In WSL the library loads others by name from its own folder.
func childEnv(wsl bool, library string, extra []string) []string {
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	if wsl && library != "" {
		env = append(env, "LD_LIBRARY_PATH="+filepath.Dir(library))
	}
	return append(env, extra...)
}
