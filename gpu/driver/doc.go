// Package driver finds the files of the NVIDIA driver on a host: libraries, programs, descriptions for
// graphics, sockets. Use [Discover] first. It looks afresh at each call and keeps nothing, because what
// was right before a driver upgrade is wrong after it; only files of the wanted capabilities are opened,
// so a call takes a few milliseconds.
//
// A file counts if its name carries the version of the loaded kernel module ("libcuda.so.580.95.05"):
// everything else in the same folders is the distribution's. WSL2 has no such names; there the folders
// that Windows mounts are the driver. Nothing of NVIDIA's is executed or loaded.
package driver
