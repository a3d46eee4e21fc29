// Package lease keeps two runs from taking one GPU. Use [Take], which selects and locks; [Acquire] locks
// what was selected already, [Held] tells what others have.
//
// A lease is an flock on a file that every user of the machine can open and nobody can remove: the sysfs
// file "vendor" of the GPU's PCI device, opened read-only. No daemon, no folder to set up, and the kernel
// gives it back when the process dies, however it dies. Exclusive use is an exclusive lock, share=yes a
// shared one. It holds between users and between user, mount and pid namespaces, for they see one sysfs;
// not with a container that has a network namespace and so a sysfs of its own.
//
// A slice (MIG) has no file in sysfs: it takes a shared lock on its GPU and an exclusive one on a file
// with its name in a folder of the user ([Dir]), so that slices are leased between the runs of one user, and a
// run that wants the whole GPU is kept away by anybody's slice. The same folder serves GPUs that have no
// PCI device (WSL2).
//
// Leases are advice among sandboxes: who opens the device without asking gets it. Therefore selection also
// wants a GPU on which nobody computes.
package lease
