package cdi

import (
	"fmt"
	"path"
	"slices"
	"strings"

	specs "tags.cncf.io/container-device-interface/specs-go"
)

// foreign is why no hook is run.
const foreign = "sandbox runs no program of the host on a sandbox"

// hook turns a known hook into data. The programs here take `--flag VALUE` and `--flag=VALUE` alike.
func (c *collector) hook(d *device, h *specs.Hook) {
	refuse := func(why string) {
		c.errs = append(c.errs, &HookError{Device: d.name, Spec: d.file.path, Hook: h.HookName, Program: h.Path, Args: h.Args, Why: why})
	}
	verb, args, ok := verb(h)
	if !ok {
		refuse(foreign)
		return
	}
	flags, err := parseFlags(args)
	if err != nil {
		refuse(err.Error())
		return
	}
	switch verb {
	case "create-symlinks":
		err = c.links(d, flags)
	case "update-ldcache":
		err = c.folders(flags)
	case "chmod":
		err = chmod(flags)
	case "apply-cuda-memory-limits", "enable-cuda-compat", "update-application-profile":
		c.left[verb] = &HookError{Device: d.name, Spec: d.file.path, Hook: h.HookName, Program: h.Path, Args: h.Args, Why: "memory of a GPU is not limited"}
	case "disable-device-node-modification", "noop":
		// In a sandbox nobody makes device nodes.
	default:
		refuse(foreign)
		return
	}
	if err != nil {
		refuse(err.Error())
	}
}

// verb is what a hook of a known family does, and its arguments. Args[0] is the program's name again.
func verb(h *specs.Hook) (string, []string, bool) {
	args := h.Args
	if len(args) > 0 {
		args = args[1:]
	}
	switch path.Base(h.Path) {
	case "nvidia-cdi-hook", "rbln-cdi-hook":
	case "nvidia-ctk":
		if len(args) == 0 || args[0] != "hook" {
			return "", nil, false
		}
		args = args[1:]
	default:
		return "", nil, false
	}
	if len(args) == 0 {
		return "", nil, false
	}
	return args[0], args[1:], true
}

// flag is one `--name value`.
type flag struct{ name, value string }

func parseFlags(args []string) ([]flag, error) {
	var out []flag
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag || name == "" {
			return nil, fmt.Errorf("argument that is not known: %s", printable(args[i]))
		}
		name, value, joined := strings.Cut(name, "=")
		if !joined {
			if i++; i == len(args) {
				return nil, fmt.Errorf("argument without its value: %s", printable(args[i-1]))
			}
			value = args[i]
		}
		out = append(out, flag{name, value})
	}
	return out, nil
}

// links is create-symlinks: `--link TO::PATH` makes PATH a link that says TO.
func (c *collector) links(d *device, flags []flag) error {
	for _, f := range flags {
		to, at, ok := strings.Cut(f.value, "::")
		if f.name != "link" || !ok || to == "" || strings.Contains(at, "::") {
			return fmt.Errorf("argument that is not known: --%s %s", printable(f.name), printable(f.value))
		}
		if err := plain("/" + to); err != nil {
			return err
		}
		p, err := target(at)
		if err != nil {
			return err
		}
		c.link(d, Link{Path: p, To: to, Why: d.name})
	}
	return nil
}

func (c *collector) link(d *device, l Link) {
	if c.free(d, l.Path, "link to "+l.To) {
		c.edits.Links = append(c.edits.Links, l)
	}
}

// folders is update-ldcache: `--folder DIR` is searched for libraries.
func (c *collector) folders(flags []flag) error {
	for _, f := range flags {
		switch f.name {
		case "ldconfig-path": // which program of the host would write the cache
		case "folder":
			p, err := target(f.value)
			if err != nil {
				return err
			}
			if strings.ContainsAny(p, ":, \t") {
				return fmt.Errorf("the dynamic linker cannot take such a folder: %s", p)
			}
			if !slices.Contains(c.edits.Libraries, p) {
				c.edits.Libraries = append(c.edits.Libraries, p)
			}
		default:
			return fmt.Errorf("argument that is not known: --%s", printable(f.name))
		}
	}
	return nil
}

// chmod is done if it only opens folders of /dev, as those of a sandbox are.
func chmod(flags []flag) error {
	for _, f := range flags {
		switch {
		case f.name == "mode" && strings.TrimLeft(f.value, "0") == "755":
		case f.name == "path" && within(path.Clean(f.value), "/dev"):
		default:
			return fmt.Errorf("argument that is not known: --%s %s", printable(f.name), printable(f.value))
		}
	}
	return nil
}

// leftOut says what the hooks that were left out would have done. Limits of memory are only set where a
// variable asks for them, and must not be dropped silently then.
func (c *collector) leftOut() {
	for _, v := range []string{"NVIDIA_GPU_MEMORY_LIMIT", "NVIDIA_GPU_MEMORY_REQUEST"} {
		if _, set := c.edits.Env[v]; set && c.left["apply-cuda-memory-limits"] != nil {
			c.errs = append(c.errs, c.left["apply-cuda-memory-limits"])
			break
		}
	}
	for _, h := range []struct{ verb, why string }{
		{"enable-cuda-compat", "a newer CUDA driver library of the image (cuda-compat) is not switched on"},
		{"update-application-profile", "EGL and Vulkan may list GPUs that the sandbox does not have"},
	} {
		if c.left[h.verb] != nil {
			c.note(fmt.Sprintf("hook %s is left out: %s", h.verb, h.why))
		}
	}
}
