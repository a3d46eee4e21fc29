package probe

import (
	"os"
	"path/filepath"
	"strings"
)

// HelperVar names the variable with the path of sandbox-gpu-probe; "none" is to do without.
const HelperVar = "SANDBOX_GPU_PROBE"

const helperName = "sandbox-gpu-probe"

// FindHelper looks for sandbox-gpu-probe: [HelperVar], beside the running program (links followed), in the
// libexec folder of an installation, on PATH. "" is not found. The variables are those of environ
// ("NAME=value"); nil is this process's environment.
func FindHelper(environ []string) string {
	if environ == nil {
		environ = os.Environ()
	}
	if p := variable(environ, HelperVar); p != "" {
		return absolute(p, environ)
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
	return onPath(helperName, environ)
}

// variable is the last one of that name, as execve has it.
func variable(environ []string, name string) string {
	value := ""
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			value = v
		}
	}
	return value
}

// onPath looks in the absolute folders of PATH: what lies in the current folder is not ours to run.
func onPath(name string, environ []string) string {
	for _, dir := range filepath.SplitList(variable(environ, "PATH")) {
		p := filepath.Join(dir, name)
		if fi, err := os.Stat(p); filepath.IsAbs(dir) && err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

// absolute makes a path or a name on PATH independent of the folder that the child starts in. What cannot
// be found stays as it is, for the error to name it.
func absolute(p string, environ []string) string {
	if p == NoHelper {
		return p
	}
	if filepath.Base(p) == p {
		if found := onPath(p, environ); found != "" {
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
func childEnv(wsl bool, library string) []string {
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	if wsl && library != "" {
		env = append(env, "LD_LIBRARY_PATH="+filepath.Dir(library))
	}
	return env
}
