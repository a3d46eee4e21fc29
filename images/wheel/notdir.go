package wheel

import "syscall"

// errNotDir is what reading a folder that is a file gives.
const errNotDir = syscall.ENOTDIR
