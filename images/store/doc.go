// Package store is what sandbox keeps on disk: downloaded blobs, unpacked layers and wheels, and the
// names that lead to them. Use [Open] first; then [Store.NewBlob] or [Store.PutBlob] to bring bytes
// in, [Store.MakeLayer] and [Store.MakeWheel] to build trees, and [Store.Use] before a tree is run.
//
// # Promises
//
//   - A final name exists only after everything below it was written, verified, synced and renamed.
//     Whoever sees the name may use what it stands for; a process that is killed, a full disk or a
//     power cut leaves the old state or the new one.
//   - Locks are flocks on open files: they die with their process, nothing has to be cleaned by hand
//     and no clock is asked. What a dead process left half done is removed by the next [Open].
//   - Many processes of one machine may use one store at once. It must lie on a file system with
//     working flock; network file systems are refused when the store is opened ([FilesystemError]).
//   - Stores chain: those of [Options].Chain are only read, and looked at first, but for names
//     of images. A chained folder that
//     holds nothing but blobs-v1 is a shared download cache.
//   - A store that cannot be written still serves everything in it; what must write fails with
//     [ErrReadOnly].
//   - Something that [Store.GC] would delete is spared while a process has leased it (whatever makes or
//     finds a blob, a layer or a wheel leases it for as long as the Store is open) or uses it ([Store.Use]).
//
// All methods may be called from many goroutines at once. Layers keep the set-user-id bits of their
// images, so a store that other users can reach belongs on a file system mounted nosuid; [Open] makes
// new stores private to their owner.
package store
