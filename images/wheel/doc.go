// Package wheel knows Python packages as files: the indexes that list them, wheel files, pylock.toml
// and what is installed in a tree. Nothing is executed here, and everything that is read is taken
// for hostile.
//
// Use [Indexes] to learn which indexes a machine is set up for, [Client.Find] to turn a locked pin
// into an address, [Prepare] to have wheels unpacked in the store and [Link] to put them together
// into one prefix. [ParsePylock] and [Pylock.Select] read what a resolver wrote; [Installed] lists
// what a base image already has.
//
// A wheel is unpacked once per store into four folders that depend neither on the Python version
// nor on the place of the prefix (scripts name [Interpreter], which is the same in every
// environment):
//
//	site/     what goes to site-packages, dist-info with a new RECORD and INSTALLER included
//	scripts/  what goes to bin, entry points included
//	headers/  what goes to include/site/pythonX.Y/NAME
//	data/     what goes below the prefix
//	files     the list of all of them, with modes, sizes and hashes
package wheel

// Interpreter is the Python that scripts in wheels are written for, as seen inside a sandbox.
const Interpreter = "/opt/env/bin/python"
