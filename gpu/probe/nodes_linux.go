package probe

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/gpu"
	"github.com/4cc2e759/sandbox/internal/access"
)

// nodes looks at the device nodes. What concerns one GPU is written to its Error; what concerns all is
// returned.
func (p *probing) nodes() error {
	if p.wsl {
		return mayOpen(p.Roots, "dxg")
	}
	if err := mayOpen(p.Roots, "nvidiactl"); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return &NoNodeError{"/dev/nvidiactl"}
		}
		return err
	}
	var denied *PermissionError
	usable := 0
	for i := range p.inv.Devices {
		d := &p.inv.Devices[i]
		if d.Minor < 0 {
			continue
		}
		name := "nvidia" + strconv.Itoa(d.Minor)
		err := mayOpen(p.Roots, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = &NoNodeError{"/dev/" + name}
		case err == nil && d.Error == "":
			usable++
		}
		errors.As(err, &denied)
		if err != nil && d.Error == "" {
			d.Error = err.Error()
		}
	}
	if usable == 0 && denied != nil {
		return denied
	}
	if err := mayOpen(p.Roots, "nvidia-uvm"); errors.Is(err, fs.ErrNotExist) {
		return &NoUVMError{"/dev/nvidia-uvm"}
	} else if err != nil {
		return err
	}
	return nil
}

// mayOpen asks the kernel whether this process may open the node for reading and writing. It does not open
// it: that would wake a sleeping GPU up. The device cgroup has its say here too, with EPERM where the mode
// would have said EACCES.
func mayOpen(r gpu.Roots, name string) error {
	path := filepath.Join(r.Dev, name)
	err := access.ReadWrite(path)
	if err == nil {
		return nil
	}
	e := &PermissionError{Path: "/dev/" + name}
	if !errors.Is(err, syscall.EACCES) && !errors.Is(err, syscall.EPERM) {
		return &fs.PathError{Op: "access", Path: "/dev/" + name, Err: err}
	}
	if fi, serr := os.Stat(path); serr == nil {
		e.Mode = fi.Mode()
		if st, ok := fi.Sys().(*syscall.Stat_t); ok {
			e.Group = group(r, int(st.Gid))
		}
	}
	e.Cgroup = errors.Is(err, syscall.EPERM)
	return e
}

// group is the name of a group in this file system's own list.
func group(r gpu.Roots, gid int) string {
	id := strconv.Itoa(gid)
	f, err := os.Open(filepath.Join(r.FS, "etc/group"))
	if err != nil {
		return id
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Split(s.Text(), ":"); len(fields) >= 3 && fields[2] == id && fields[0] != "" {
			return clean(fields[0], maxName)
		}
	}
	return id
}
