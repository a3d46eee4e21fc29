// Package inject plans what of a driver goes into one sandbox: device nodes, libraries, links, variables,
// each with the reason. Use [Plan] first; it reads facts of the host and of the image and writes nothing.
// Either the whole plan is made or an error says what is in the way.
//
// Everything of the driver lies below [Dir], in a tmpfs, so it never enters a layer. What the linker and
// the loaders of graphics must find below /etc comes as one more read-only layer ([Injection.Lower]), not
// as a mount: programs that renew those files inside (ldconfig, after apt install) still can.
package inject
