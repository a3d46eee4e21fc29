package plan

import (
	"maps"
	"sort"
	"strings"
)

// defaultPath is what an image without PATH gets; the one of Debian's and Docker's root shells.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// passing are the variables that cross from the host by themselves: how to show text, the time
// zone, and how to reach the network. Nothing else does without [env] pass.
var passing = []string{"TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "TZ",
	"http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy",
	"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"}

// Environ is the whole environment of the program, sorted: the image's, ours, what passes from the
// host, that of GPUs, the env file's, the command line's; later ones win.
func Environ(in Inputs) []string {
	env := map[string]string{"PATH": defaultPath}
	for _, kv := range in.Env.ImageEnv {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			env[k] = v
		}
	}
	own(in, env)
	for k, v := range in.Host.Environ {
		if passes(k) {
			env[k] = v
		}
	}
	for _, k := range in.Env.Pass {
		if v, ok := in.Host.Environ[k]; ok {
			env[k] = v
		}
	}
	if g := in.GPU; g != nil {
		for _, k := range g.Unset {
			delete(env, k)
		}
		maps.Copy(env, g.Env)
	}
	maps.Copy(env, in.Env.Set)
	maps.Copy(env, in.Extra.Env)
	if g := in.GPU; g != nil {
		for _, k := range g.Drop {
			delete(env, k)
		}
		maps.Copy(env, g.Force)
		for _, dir := range g.Path {
			env["PATH"] += ":" + dir
		}
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out
}

// own sets what belongs to the sandbox itself.
func own(in Inputs, env map[string]string) {
	u := in.Env.User
	env["HOME"] = u.Home
	env["USER"], env["LOGNAME"] = u.Name, u.Name
	env["HOSTNAME"] = hostname(in.Env.Name)
	env["SANDBOX"] = in.Env.Name
	env["container"] = "sandbox"
	if u.Shell != "" {
		env["SHELL"] = u.Shell
	}
	if in.Env.PythonEnv {
		env["PATH"] = "/opt/env/bin:" + env["PATH"]
		env["VIRTUAL_ENV"] = "/opt/env"
	}
	if in.Env.Apt {
		env["APT_CONFIG"] = Run + "/apt.conf"
	}
	if in.Env.Network == "host" && in.Host.CABundle != "" {
		for _, k := range []string{"SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"} {
			if _, ok := env[k]; !ok {
				env[k] = Run + "/ca.crt"
			}
		}
	}
	if p := at(in); p != "" {
		// The project belongs to another uid as seen from inside in some id maps; git would refuse it.
		env["GIT_CONFIG_COUNT"], env["GIT_CONFIG_KEY_0"], env["GIT_CONFIG_VALUE_0"] = "1", "safe.directory", p
	}
}

func passes(k string) bool {
	if strings.HasPrefix(k, "LC_") {
		return true
	}
	for _, p := range passing {
		if k == p {
			return true
		}
	}
	return false
}
