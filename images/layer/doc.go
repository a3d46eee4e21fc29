// Package layer turns layer tars into directory trees and back. Use [Apply] to unpack a layer into a
// folder of the store, [Stack] to look at layers as the container will see them, [Pack] and [DiffID] to
// make the canonical tar of a tree that was built here, and [Reassemble] to get the exact bytes of a
// layer that was applied.
//
// # The form on disk
//
// A layer folder has fs/, the tree, and tar/, what the tree cannot hold. The tree is a lower directory
// for overlayfs mounted with userxattr: a whiteout is a character device 0:0, an opaque directory has
// the attribute user.overlay.opaque=y. Everything belongs to the user who applied it. Modes are those
// of the tar; set-user-id bits are kept, so the tree belongs on a private path or a nosuid mount.
//
//	tar/raw.zst     all bytes of the tar that are not contents of files in fs/
//	tar/owners.zst  what could not be put on the file: see [Owners]
//	tar/kept/       contents that a later entry of the same tar displaced
//	tar/places      where contents lie that are not under the name that their entry has
//	.fs.lent        only for moments: modes that are changed to read what keeps its owner out
//
// An ordinary user who reads a file of mode 0000 of their own has to change its mode for that moment. They
// do so alone, under a lock on fs/ that whoever looks at modes shares, and write the true mode down first:
// a process that is killed meanwhile leaves what the next one needs to put it back. It is the same next to
// any other tree that is packed.
//
// # Rules of application, where the specification leaves a choice
//
//   - Whiteouts and opaque markers act on lower layers only, in any order with entries of this layer.
//   - Symbolic links in the parents of an entry are followed inside the layer's own tree; links of lower
//     layers are not seen. The last component is never followed: the later entry replaces it.
//   - A parent that has no entry becomes a directory 0755 and is noted as to be inherited from the
//     layers below.
//   - Two entries of one name: the last wins, except that a directory stays where a directory was.
//   - A hard link needs its target in the same layer, before it.
//   - Names that lead above the root are errors; absolute names, "./" and "//" are cleaned.
//   - Device nodes become empty files and are noted. Capabilities and attributes other than user.* are
//     noted, never set: inside a user namespace they mean nothing, outside they would mean too much.
//   - Folders in which AUFS kept what is its own, .wh..wh.*, are left out; hard links may lead to files in them.
//     No other folder can have a name that begins with .wh.
//   - user.overlay.*, trusted.overlay.* and user.sandbox.* of the tar are dropped.
//
// # Bounds
//
// [Limits] bound what a layer may ask for; each has a key of [layers] in the user's configuration. Memory does
// not grow with the number of files, folders or owners: folders get their modes and times early when there
// are many (32 MiB of names), owners go to the index as they come. What has to be remembered to the end counts
// against Limits.Memory: folders whose mode keeps their owner out, files that a later entry of the layer
// replaces, whiteouts in whose place the layer has something of its own, files that lie behind a symbolic link
// of the layer, and, for [InheritLayer], folders without an entry. On the disk a layer takes at most
// Limits.Bytes; runs of zeros take nothing. Links of the layer are followed as far as the kernel would, and no
// further than some thousand components: beyond is "too many levels of symbolic links".
package layer
