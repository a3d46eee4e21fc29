// Package envfile reads and writes what a project says about its environment: the env file
// (sandbox.toml), what a machine adds to it (sandbox.local.toml, the user's configuration) and the
// lock (sandbox.lock).
//
// Use [Parse] first: it takes bytes and gives a [Document], or a [Problems] error that holds every
// mistake with its place. [Document.Resolve] then merges profiles and the machine's own file and
// gives the [File] that everything else works with; [File.Wants] is what of it needs the user's
// consent, [File.Features] what a version of the tool may not carry out. Locks are read by [ReadLock], written by
// [Lock.WriteTo], and compared with a file by [Section.Check].
//
// The package is pure: bytes in, values out. It opens no file, reads no clock and no environment,
// so a stranger's env file can be looked at safely. All values may be used by many goroutines as
// long as nobody changes them.
package envfile
