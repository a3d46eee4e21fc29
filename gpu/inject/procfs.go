package inject

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"regexp"
	"syscall"
)

const procDir = "/proc/driver/nvidia"

// procfs hides the host's /proc/driver/nvidia and shows of it what concerns the picked GPUs.
func (p *planner) procfs() error {
	host := path.Join(p.Roots.Proc, "driver/nvidia")
	if p.Set.WSL || !isFolder(host) {
		return nil
	}
	o := p.out
	o.Tmpfs = append(o.Tmpfs, Tmpfs{procDir, true, "only the chosen GPUs are to be seen"})
	if b, err := readProc(host+"/params", 1<<16); err == nil {
		o.Files = append(o.Files, File{procDir + "/params", noMknod(b), 0o444, "with ModifyDeviceFiles 0 the driver's libraries make no device nodes, which nobody may do inside"})
	}
	for _, n := range []string{"version", "registry"} {
		if b, err := readProc(path.Join(host, n), 1<<16); err == nil {
			o.Files = append(o.Files, File{procDir + "/" + n, b, 0o444, "the driver's libraries compare versions and settings with the kernel module"})
		}
	}
	flags := []string{"ro", "nosuid", "nodev", "noexec"}
	for _, d := range p.devices() {
		dir := path.Join(host, "gpus", path.Base(d.BDF))
		if !isFolder(dir) {
			continue
		}
		o.Binds = append(o.Binds, Bind{Source: dir, Target: path.Join(procDir, "gpus", path.Base(d.BDF)), Folder: true, Flags: flags, Why: "what the kernel says of the chosen GPU"})
	}
	for _, k := range p.Picks {
		if k.MIG == nil {
			continue
		}
		for _, name := range accessNames(k) {
			at := path.Join("capabilities", procName(name))
			o.Binds = append(o.Binds, Bind{Source: path.Join(host, at), Target: path.Join(procDir, at), Flags: flags, Why: "the right to use " + k.MIG.UUID})
		}
	}
	return nil
}

// noMknod is params with ModifyDeviceFiles off.
func noMknod(b []byte) []byte {
	return regexp.MustCompile(`(?m)^ModifyDeviceFiles: .*$`).ReplaceAll(b, []byte("ModifyDeviceFiles: 0"))
}

func isFolder(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir()
}

// readProc reads a file whose size is not known before.
func readProc(name string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	if n, err := io.Copy(&b, io.LimitReader(f, limit+1)); err != nil {
		return nil, err
	} else if n > limit {
		return nil, errors.New("more than expected in " + name)
	}
	return b.Bytes(), nil
}
