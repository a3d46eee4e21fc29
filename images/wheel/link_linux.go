package wheel

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Link puts wheels together into prefix, which must exist: site-packages of that Python ("3.11"),
// bin, include and data files. The same wheels give the same tree. Two wheels with different
// content for one place are a *[ConflictError], and a file that is already there is an error; the
// prefix is then of no use.
//
// Hard links share their inodes with the store: a prefix may only be used read-only, as a lower
// layer is.
func Link(wheels []Wheel, prefix, python string, o LinkOptions) error {
	if err := checkPython(python); err != nil {
		return err
	}
	t, err := merge(wheels, python, o.Conflict)
	if err != nil {
		return err
	}
	for _, d := range t.folders() {
		if err := makeDir(filepath.Join(prefix, d)); err != nil {
			return err
		}
	}
	dirs := make([]string, 0, len(t.dirs))
	for d := range t.dirs {
		dirs = append(dirs, d)
	}
	slices.Sort(dirs)
	var next atomic.Int64
	errs := make([]error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			l := linker{wheels: wheels, prefix: prefix, mode: o.Mode}
			for {
				k := int(next.Add(1)) - 1
				if k >= len(dirs) {
					return
				}
				if errs[i] = l.fill(dirs[k], t.dirs[dirs[k]]); errs[i] != nil {
					next.Store(int64(len(dirs)))
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// makeDir makes a folder with the same mode whatever the umask is.
func makeDir(p string) error {
	err := os.Mkdir(p, 0o755)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(p, 0o755)
}

// linker fills folders. Each works by descriptors of the two folders: long paths would be walked
// again for every file.
type linker struct {
	wheels []Wheel
	prefix string
	mode   LinkMode
}

func (l *linker) fill(dir string, files []placed) error {
	to, err := openDir(filepath.Join(l.prefix, dir))
	if err != nil {
		return err
	}
	defer unix.Close(to)
	from, at, of := -1, "", -1
	defer func() {
		if from >= 0 {
			unix.Close(from)
		}
	}()
	for _, f := range files {
		if d := path.Dir(f.from); from < 0 || d != at || f.wheel != of {
			if from >= 0 {
				unix.Close(from)
			}
			if from, err = openDir(filepath.Join(l.wheels[f.wheel].Dir, d)); err != nil {
				return fmt.Errorf("wheel %s: %w", l.wheels[f.wheel].File, err)
			}
			at, of = d, f.wheel
		}
		if err := l.file(from, to, f); err != nil {
			return fmt.Errorf("wheel %s: %s: %w", l.wheels[f.wheel].File, path.Join(dir, f.name), err)
		}
	}
	return nil
}

func openDir(p string) (int, error) {
	for {
		fd, err := unix.Open(p, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: p, Err: err}
		}
		return fd, nil
	}
}

func (l *linker) file(from, to int, f placed) error {
	if f.text != nil {
		return copyTo(to, f, func(w *os.File) error { _, err := w.Write(f.text); return err })
	}
	if l.mode == LinkAuto {
		err := unix.Linkat(from, path.Base(f.from), to, f.name, 0)
		switch err {
		case nil:
			return nil
		case unix.EXDEV, unix.EMLINK, unix.EPERM, unix.ENOTSUP, unix.ENOSYS:
			// Another file system, too many links, a file of somebody else (fs.protected_hardlinks), or
			// a file system without links: each is an ordinary situation, and a copy serves.
		default:
			return err
		}
	}
	fd, err := unix.Openat(from, path.Base(f.from), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	r := os.NewFile(uintptr(fd), f.from)
	defer r.Close()
	return copyTo(to, f, func(w *os.File) error {
		if unix.IoctlFileClone(int(w.Fd()), fd) == nil {
			return nil
		}
		_, err := io.Copy(w, r) // copy_file_range
		return err
	})
}

func copyTo(to int, f placed, fill func(*os.File) error) (err error) {
	fd, err := unix.Openat(to, f.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	w := os.NewFile(uintptr(fd), f.name)
	defer func() {
		if e := w.Close(); err == nil {
			err = e
		}
	}()
	if err := fill(w); err != nil {
		return err
	}
	mode := uint32(0o644)
	if f.exec {
		mode = 0o755
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return err
	}
	t := unix.NsecToTimespec(Time.UnixNano())
	return unix.UtimesNanoAt(to, f.name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}
