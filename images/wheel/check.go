package wheel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/4cc2e759/sandbox/images/store"
)

// Check reads an unpacked wheel again and compares it with its own list of files, which holds what the wheel
// promised. The error names the first thing that differs.
func Check(ctx context.Context, dir string) error {
	project, files, err := readList(dir)
	if err != nil {
		return err
	}
	listed := map[string]bool{"files": true, store.WholeLink: true}
	version := ""
	var b bytes.Buffer
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f.check(dir); err != nil {
			return fmt.Errorf("%q: %w", f.from, err)
		}
		listed[f.from] = true
		f.line(&b)
		if info, ok := strings.CutSuffix(f.from, ".dist-info/RECORD"); ok && strings.Count(info, "/") == 1 {
			if name, v, _ := strings.Cut(strings.TrimPrefix(info, "site/"), "-"); Normalize(name) == project {
				version = v
			}
		}
	}
	if err := checkList(filepath.Join(dir, "files"), version, b.Bytes()); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil && !listed[filepath.ToSlash(rel)] {
			err = fmt.Errorf("%q: not a file of the wheel", rel)
		}
		return err
	})
}

// checkList compares what the files say with how the list is written: nothing in it is passed over.
func checkList(list, version string, body []byte) error {
	b, err := os.ReadFile(list)
	if err != nil {
		return err
	}
	head, rest, _ := bytes.Cut(b, []byte("\n"))
	h := strings.Fields(string(head))
	if !bytes.Equal(rest, body) || len(h) != 3 || string(head) != strings.Join(h, " ") || !sameVersion(version, h[2]) {
		return fmt.Errorf("%s: damaged list of files", list)
	}
	return nil
}

func (l listed) line(b *bytes.Buffer) {
	mark := '-'
	if l.exec {
		mark = 'x'
	}
	fmt.Fprintf(b, "%c %s %d %s\n", mark, l.sum, l.size, l.from)
}

func (l listed) check(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, filepath.FromSlash(l.from)), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() || fi.Size() != l.size {
		return fmt.Errorf("it is not a file of %d bytes", l.size)
	}
	if (fi.Mode()&0o111 != 0) != l.exec {
		return fmt.Errorf("its mode is %04o", fi.Mode().Perm())
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != l.sum {
		return fmt.Errorf("its contents have changed")
	}
	return nil
}
