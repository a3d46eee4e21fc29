package sandbox

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/4cc2e759/sandbox/envfile"
	"github.com/4cc2e759/sandbox/images"
	"github.com/4cc2e759/sandbox/images/oci"
	"github.com/4cc2e759/sandbox/sandbox/build"
)

// Labels and annotations of what leaves.
const (
	// LabelLock holds the digest of the environment that an image was made from.
	LabelLock    = "io.github.4cc2e759.sandbox.lock"
	labelTitle   = "org.opencontainers.image.title"
	labelBase    = "org.opencontainers.image.base.name"
	labelBaseSum = "org.opencontainers.image.base.digest"
	labelCommit  = "org.opencontainers.image.revision"
)

// These say what an image is, so a base's own are not ours.
var ofTheBase = []string{labelTitle, labelCommit, "org.opencontainers.image.version", "org.opencontainers.image.created",
	"org.opencontainers.image.ref.name", "org.opencontainers.image.description", labelBase, labelBaseSum}

const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// exportedConfig is the configuration of an image made from a section of a lock: of the lock and the base
// alone, so that one lock is one image.
func exportedConfig(lock *envfile.Lock, section string, env *build.Env) oci.Config {
	sec := lock.Sections[section]
	base, conf := env.Image, sec.Config
	osName, arch, _ := strings.Cut(strings.SplitN(section, "+", 2)[0], "-")
	c := oci.Config{
		OS: osName, Architecture: arch, Variant: base.Variant, Created: time.Unix(lock.Epoch, 0).UTC(),
		User: base.User, WorkingDir: base.WorkingDir, Entrypoint: base.Entrypoint, Cmd: base.Cmd, Shell: base.Shell, StopSignal: base.StopSignal,
		Volumes: base.Volumes, ExposedPorts: exposed(base.ExposedPorts, conf.Publish),
		Env: exportedEnv(base.Env, conf.Env, env.PythonEnv), Labels: exportedLabels(base.Labels, sec, env.Digest),
	}
	switch at := conf.ProjectAt; {
	case at == "same": // means nothing elsewhere
	case at == "":
		c.WorkingDir = "/workspace"
	default:
		c.WorkingDir = at
	}
	switch u := conf.User; u {
	case "", "image", "me": // who runs the export is not who runs the image
	case "root":
		c.User = "0:0"
	default:
		c.User = u
	}
	if len(conf.Cmd) > 0 {
		c.Entrypoint, c.Cmd = nil, conf.Cmd // as `sandbox run default` starts it: without the base's wrapper
	} else if len(c.Entrypoint)+len(c.Cmd) == 0 {
		c.Cmd = []string{"/bin/sh"}
	}
	return c
}

// exportedEnv is the base's variables in its order, then ours sorted. PATH is always there: not every
// engine has one of its own.
func exportedEnv(base []string, set map[string]string, python bool) []string {
	mine := map[string]string{}
	pathNow := usualPath
	for _, kv := range base {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			pathNow = v
		}
	}
	mine["PATH"] = pathNow
	if python {
		mine["PATH"] = build.EnvPrefix + "/bin:" + pathNow
		mine["VIRTUAL_ENV"] = build.EnvPrefix
	}
	maps.Copy(mine, set)
	var list []string
	for _, kv := range base {
		k, _, _ := strings.Cut(kv, "=")
		if v, ok := mine[k]; ok {
			kv = k + "=" + v
			delete(mine, k)
		} else if k == "PATH" { // twice in the base
			continue
		}
		list = append(list, kv)
	}
	for _, k := range slices.Sorted(maps.Keys(mine)) {
		list = append(list, k+"="+mine[k])
	}
	return list
}

func exportedLabels(base map[string]string, sec *envfile.Section, digest string) map[string]string {
	labels := maps.Clone(base)
	if labels == nil {
		labels = map[string]string{}
	}
	for _, k := range ofTheBase {
		delete(labels, k)
	}
	labels[LabelLock] = digest
	if sec.Config.Name != "" {
		labels[labelTitle] = sec.Config.Name
	}
	maps.Copy(labels, baseAnnotations(sec))
	return labels
}

// baseAnnotations name the base, in the form of the image specification.
func baseAnnotations(sec *envfile.Section) map[string]string {
	m := map[string]string{}
	if sec.Image.Manifest != "" {
		m[labelBaseSum] = sec.Image.Manifest
		if name := baseName(sec); name != "" {
			m[labelBase] = name
		}
	}
	return m
}

// baseName is the base's name as others know it, or "": where a file or folder of this machine lies tells them
// nothing, and may tell who made the image.
func baseName(sec *envfile.Section) string {
	if r, err := images.ParseRef(sec.Image.Ref); err != nil || r.Kind != images.Registry {
		return ""
	}
	return sec.Image.Ref
}

// exposed adds the inner ports of [network] publish, "[ADDR:]HOST:PORT".
func exposed(base, publish []string) []string {
	list := slices.Clone(base)
	for _, p := range publish {
		port := p[strings.LastIndexByte(p, ':')+1:]
		port, proto, ok := strings.Cut(port, "/")
		if !ok {
			proto = "tcp"
		}
		if n, err := strconv.Atoi(port); err == nil {
			list = append(list, fmt.Sprintf("%d/%s", n, proto))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// exportName is the name of an image that was given none: the env file's name, where it has one, never
// that of a folder or a user.
func exportName(sec *envfile.Section) string {
	name := "environment"
	if s := imageWord(sec.Config.Name); s != "" {
		name = s
	}
	return path.Join("localhost", name) + ":latest"
}

// imageWord makes a component of an image's name.
func imageWord(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0:
			b.WriteByte('-')
		}
	}
	words := strings.FieldsFunc(b.String(), func(r rune) bool { return r == '-' })
	return strings.Join(words, "-")
}
