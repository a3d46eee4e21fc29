package child

import (
	"strings"
	"syscall"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		head  string
		want  string
	}{
		{syscall.ENOENT, "#!/usr/bin/python3 -u\n", "interpreter /usr/bin/python3 does not exist"},
		{syscall.ENOENT, "#! /bin/sh\r\necho", "Windows line ends"},
		{syscall.ENOENT, "#!", "what it needs to run"}, {syscall.ENOENT, "#!\n", "what it needs to run"},
		{syscall.ENOENT, "\x7fELF\x02", "dynamic loader"}, {syscall.ENOENT, "", "what it needs to run"},
		{syscall.ENOEXEC, "\x7fELF", "not a program"}, {syscall.ENOEXEC, "hello", "not a program"},
		{syscall.E2BIG, "", "argument list too long"},
	} {
		if got := Explain(c.errno, []byte(c.head)); !strings.Contains(got, c.want) {
			t.Errorf("%v %q: %s", c.errno, c.head, got)
		}
	}
}
