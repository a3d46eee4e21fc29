#include "textflag.h"

// func rawVfork(flags uintptr) (pid, errno uintptr)
// The child runs on our stack until it executes a program: the return address is kept in a register,
// because the child's calls overwrite the place where it lay.
TEXT ·rawVfork(SB),NOSPLIT|NOFRAME,$0-24
	MOVQ flags+0(FP), DI
	MOVQ $0, SI
	MOVQ $0, DX
	MOVQ $0, R10
	MOVQ $0, R8
	MOVQ $0, R9
	MOVQ $56, AX
	POPQ R12
	SYSCALL
	PUSHQ R12
	CMPQ AX, $0xfffffffffffff001
	JLS ok
	MOVQ $-1, pid+8(FP)
	NEGQ AX
	MOVQ AX, errno+16(FP)
	RET
ok:
	MOVQ AX, pid+8(FP)
	MOVQ $0, errno+16(FP)
	RET
