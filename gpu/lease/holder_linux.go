package lease

import (
	"bufio"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"

	"github.com/4cc2e759/sandbox/gpu"
)

// nobodyKnown is said of a holder in another pid namespace, or where /proc does not show others.
const nobodyKnown = "another run"

// holder says who has a lock on the file, from /proc/locks and /proc/PID: "sandbox run train (pid 4242,
// user ann)". The process that took the lock is named there even if a child holds it by now.
func holder(roots gpu.Roots, path string) string {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return nobodyKnown
	}
	f, err := os.Open(filepath.Join(roots.Proc, "locks"))
	if err != nil {
		return nobodyKnown
	}
	defer f.Close()
	var first string
	others := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		pid, ok := lockOf(lines.Text(), st.Dev, st.Ino)
		if !ok {
			continue
		}
		if first == "" {
			first = process(roots, pid)
		} else {
			others++
		}
	}
	switch {
	case first == "":
		return nobodyKnown
	case others > 0:
		return fmt.Sprintf("%s and %d more", first, others)
	}
	return first
}

// lockOf reads "1: FLOCK  ADVISORY  WRITE 4242 00:17:1234 0 EOF": the device in hexadecimal, then the
// inode. A line with "->" waits for the lock and does not have it.
func lockOf(line string, dev, ino uint64) (pid int, ok bool) {
	f := strings.Fields(line)
	if len(f) < 6 || f[1] != "FLOCK" {
		return 0, false
	}
	at := strings.Split(f[5], ":")
	pid, err := strconv.Atoi(f[4])
	if err != nil || pid <= 0 || len(at) != 3 {
		return 0, false
	}
	major, errMajor := strconv.ParseUint(at[0], 16, 32)
	minor, errMinor := strconv.ParseUint(at[1], 16, 32)
	inode, errInode := strconv.ParseUint(at[2], 10, 64)
	if errMajor != nil || errMinor != nil || errInode != nil {
		return 0, false
	}
	return pid, inode == ino && makedev(major, minor) == dev
}

// makedev is glibc's layout of a device number.
func makedev(major, minor uint64) uint64 {
	return major&0xfff<<8 | major&^0xfff<<32 | minor&0xff | minor&^0xff<<12
}

// process is what and whose a pid is, as far as /proc tells.
func process(roots gpu.Roots, pid int) string {
	dir := filepath.Join(roots.Proc, strconv.Itoa(pid))
	name := command(dir)
	if name == "" {
		name = "a program"
	}
	owner := ""
	var st syscall.Stat_t
	if syscall.Stat(dir, &st) == nil {
		owner = strconv.FormatUint(uint64(st.Uid), 10)
		if u, err := user.LookupId(owner); err == nil {
			owner = u.Username
		}
		owner = ", user " + owner
	}
	return fmt.Sprintf("%s (pid %d%s)", name, pid, owner)
}

// command is the beginning of a command line: its program without the folder. It is somebody else's text,
// so nothing that a terminal would obey is kept.
func command(dir string) string {
	const most = 60
	f, err := os.Open(filepath.Join(dir, "cmdline"))
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 4096)
	n, _ := f.Read(b)
	args := strings.Split(strings.TrimRight(string(b[:n]), "\x00"), "\x00")
	args[0] = filepath.Base(args[0])
	text := strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			return '?'
		}
		return c
	}, strings.Join(args, " "))
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	if text == "." {
		return ""
	}
	return text
}
