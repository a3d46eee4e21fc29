// Package owner remembers whose a file should be. Under a single id every file of a sandbox belongs to the
// caller; what chown asked for inside is kept here, for commit and export to use.
//
// Use [Read] for what a writable layer remembers, [Strip] before the layer leaves or becomes part of an
// environment, [Programs] and [Written] for what was written under a changed user, which is nowhere true.
//
// A regular file or folder has the attribute [Attr], so that renames, hard links and replacements need no
// care. Links and special files cannot have one: they are noted in a side file beside the layer by
// inode number and time of birth, which a rename within the layer does not change either. A layer that
// is copied loses these notes, and so does one on a file system without times of birth whose links are renamed.
//
// Everything here was written by programs inside and is not to be trusted more than they are: an owner
// is two numbers, and the side files are bounded.
package owner
