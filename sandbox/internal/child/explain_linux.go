package child

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"syscall"
)

// Explain says why a file could not be executed, from the error and the first bytes of the file.
func Explain(errno syscall.Errno, head []byte) string {
	switch errno {
	case syscall.ENOENT, syscall.ENOTDIR:
		if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
			line, _, _ = bytes.Cut(line, []byte("\n"))
			if f := strings.Fields(string(line)); len(f) > 0 {
				name := f[0]
				if bytes.HasSuffix(line, []byte("\r")) {
					return fmt.Sprintf("its first line asks for %q, with a carriage return: the file has Windows line ends", name+"\r")
				}
				return fmt.Sprintf("its interpreter %s does not exist in the sandbox", name)
			}
		}
		if bytes.HasPrefix(head, []byte("\x7fELF")) {
			return "its dynamic loader does not exist in the sandbox: it was built for another C library or architecture"
		}
		return "it exists, but what it needs to run does not"
	case syscall.ENOEXEC:
		if m := machine(head); m != "" {
			return fmt.Sprintf("built for %s, this machine is %s", m, runtime.GOARCH)
		}
		return "not a program: neither a binary for this machine nor a script that starts with #!"
	case syscall.EACCES:
		return "permission denied: a folder, or not executable"
	}
	return errno.Error()
}

func machine(head []byte) string {
	if len(head) < 20 || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return ""
	}
	names := map[uint16]string{3: "386", 40: "arm", 62: "amd64", 183: "arm64", 21: "ppc64", 22: "s390x", 243: "riscv64"}
	n := names[binary.LittleEndian.Uint16(head[18:])]
	if n == runtime.GOARCH {
		return ""
	}
	return n
}
