package wheel

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"

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
	q := t.queue()
	errs := make([]error, runtime.GOMAXPROCS(0))
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			l := linker{wheels: wheels, prefix: prefix, mode: o.Mode}
			for dir, ok := q.next(); ok; dir, ok = q.next() {
				folders := q.below[dir]
				if errs[i] = l.fill(dir, folders, t.dirs[dir], q.add); errs[i] != nil {
					q.stop()
					return
				}
				q.done()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// linker fills folders. Each works by descriptors of the two folders: long paths would be walked
// again for every file.
type linker struct {
	wheels []Wheel
	prefix string
	mode   LinkMode
	exact  bool // folders come out with the right mode: it has been looked at
}

// fill makes what is in one folder of the prefix: first the folders, which others may fill from then
// on, then the files.
func (l *linker) fill(dir string, folders []string, files []placed, made func(dir string)) error {
	to, err := openDir(filepath.Join(l.prefix, dir))
	if err != nil {
		return err
	}
	defer unix.Close(to)
	for _, name := range folders {
		if err := l.makeDir(to, name); err != nil {
			return &os.PathError{Op: "mkdir", Path: filepath.Join(l.prefix, dir, name), Err: err}
		}
		made(path.Join(dir, name))
	}
	return l.files(to, dir, files)
}

// makeDir makes a folder with the same mode whatever the umask is. That cannot change meanwhile: if
// the first folder is right, so are the others.
func (l *linker) makeDir(at int, name string) error {
	err := unix.Mkdirat(at, name, 0o755)
	if err == unix.EEXIST {
		return nil
	}
	if err != nil || l.exact {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if l.exact = st.Mode&0o7777 == 0o755; l.exact {
		return nil
	}
	return unix.Fchmodat(at, name, 0o755, 0)
}

func (l *linker) files(to int, dir string, files []placed) (err error) {
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
