package notify

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// notification is struct seccomp_notif.
type notification struct {
	id    uint64
	pid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// answer is struct seccomp_notif_resp.
type answer struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

const (
	ioctlValid    = 0x40082102 // SECCOMP_IOCTL_NOTIF_ID_VALID
	ioctlSetFlags = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS
)

func ioctl(fd int, what uintptr, arg unsafe.Pointer) syscall.Errno {
	_, _, e := syscall.Syscall(unix.SYS_IOCTL, uintptr(fd), what, uintptr(arg))
	return e
}

func (s *Server) receive(n *notification) syscall.Errno {
	*n = notification{} // the kernel refuses anything else
	return ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(n))
}

// reply answers. The task may have been killed meanwhile: nobody is there then.
func (s *Server) reply(n *notification, e syscall.Errno) {
	a := answer{id: n.id, errno: -int32(e)}
	ioctl(s.listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&a))
}

// valid tells whether the task still waits for this answer. If so, what was opened by its number
// before was its own.
func (s *Server) valid(n *notification) bool {
	return ioctl(s.listener, ioctlValid, unsafe.Pointer(&n.id)) == 0
}

const pageSize = 4096 // the smallest: a longer page only means one more piece

// readPath reads a string of a task's memory. It stops at the end of a page, because the next may
// not be there.
func readPath(pid uint32, addr uint64, buf *[unix.PathMax]byte) (string, syscall.Errno) {
	first := pageSize - addr%pageSize
	remote := [2]unix.RemoteIovec{
		{Base: uintptr(addr), Len: int(first)},
		{Base: uintptr(addr + first), Len: int(len(buf) - int(first))},
	}
	list := remote[:]
	if first == pageSize {
		list = remote[:1]
	}
	local := [1]unix.Iovec{{Base: &buf[0], Len: uint64(len(buf))}}
	n, err := unix.ProcessVMReadv(int(pid), local[:], list, 0)
	if err != nil {
		return "", err.(syscall.Errno)
	}
	for i, c := range buf[:n] {
		if c == 0 {
			return string(buf[:i]), 0
		}
	}
	if n < len(buf) {
		return "", unix.EFAULT
	}
	return "", unix.ENAMETOOLONG
}
