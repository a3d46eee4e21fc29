package store

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/4cc2e759/sandbox/internal/hint"
)

// WholeLink is the last thing that a maker leaves in a folder: what can be compared in a few system calls
// when the folder is found, so that one that was emptied or cut short, by hand or by a disk, is not believed.
// It is a symbolic link for the reason that diffIDLink is one.
const WholeLink = "whole"

// outline describes a folder of kind by the sizes of its own files, which grow with what is in it, and by the
// time of its tree's top, which no use of a layer changes. Seconds only: not every copy of a store keeps more.
func outline(kind Kind, dir string) string {
	b := []byte("1")
	for _, name := range map[Kind][]string{KindLayer: {"/fs", "/tar/raw.zst", "/tar/owners.zst", "/tar/places"}, KindWheel: {"/files"}}[kind] {
		b = append(b, ' ')
		fi, err := os.Lstat(dir + name)
		switch {
		case err != nil:
			b = append(b, '-')
		case fi.IsDir():
			b = append(strconv.AppendInt(b, fi.ModTime().Unix(), 10), 's')
		case fi.Mode().IsRegular():
			b = strconv.AppendInt(b, fi.Size(), 10)
		default:
			b = append(b, '?')
		}
	}
	return string(b)
}

// whole says whether the folder is as its maker left it.
func whole(kind Kind, dir string) bool {
	was, err := os.Readlink(dir + "/" + WholeLink)
	if err != nil || was != outline(kind, dir) {
		return false
	}
	return kind != KindLayer || strings.HasSuffix(strings.Fields(was)[1], "s") // fs/ is there
}

func (s *Store) noteWhole(kind Kind, dir string) error {
	p := dir + "/" + WholeLink
	return s.step("symlink", p, func() error { return os.Symlink(outline(kind, dir), p) })
}

// makeWay takes a folder away that lies under the name of one that is to be made: it was found not to be whole.
func (s *Store) makeWay(c candidate) error {
	if _, err := os.Lstat(c.path); err != nil {
		return nil
	}
	t, err := s.tempDir("damaged")
	if err != nil {
		return err
	}
	defer t.close()
	moved, err := s.moveOne(c, t.path+"/it")
	if err == nil && !moved && !gone(c.path) {
		err = hint.With(fmt.Errorf("it is damaged and in use: %s", c.path), "end the sandboxes that run on it: sandbox ps")
	}
	if err == nil {
		s.log.Warn("it was not as its maker left it, and is made again", "what", c.kind, "name", c.name)
		s.notice(fmt.Sprintf("%s %s in the store was damaged, it is made again", c.kind, short(c.name)))
	}
	return err
}
